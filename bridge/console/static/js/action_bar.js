// The buttons of what may be done to a call: three at hand, the others under More, its end apart.

import { ACTIONS, isFor } from "./actions.js";
import { user } from "./api.js";
import { LISTENING } from "./audio.js";
import { fill, h } from "./dom.js";
import { keyOf } from "./keys.js";

const AT_HAND = 3;
const labelOf = ({ label }, row) => (typeof label === "function" ? label(row) : label);

/** Return the actions at hand, those under More, and those apart. */
function placed(actions, row, isOn) {
  const apart = actions.filter((action) => action.apart);
  const others = actions.filter((action) => !action.apart);
  if (others.length <= AT_HAND + 1) return [others, [], apart];
  // What is on has to be ended where it is seen.
  const first = others.filter((action) => isOn(action) || action.first?.(row, user)).slice(0, AT_HAND);
  return [first, others.filter((action) => !first.includes(action)), apart];
}

export class ActionBar {
  /** @param {function(string): void} act does what a button says, by the action's id */
  constructor(act) {
    this.act = act;
    this.more = h("button", { type: "button", "aria-expanded": "false", "aria-controls": "more-actions", text: "More", onclick: () => this.#open(this.menu.hidden) });
    this.menu = h("div", { class: "more", id: "more-actions", hidden: true });
    this.element = h("div", { class: "actions", role: "toolbar", "aria-label": "Actions on this call" });
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.menu.hidden) return;
      event.preventDefault();
      this.#open(false);
      this.more.focus();
    });
    this.element.addEventListener("focusout", ({ relatedTarget }) => { if (relatedTarget && !this.element.contains(relatedTarget)) this.#open(false); });
  }

  /** Show what may be done to a call; `kind`: how somebody listens to it now, if they do. */
  show(row, kind) {
    const focused = document.activeElement?.dataset?.action;
    const isOn = (action) => kind === action.id || Boolean(action.isOn?.(row));
    // Who listens in one way stops that before they begin in another.
    const shown = (action) => isFor(action, row) && !(LISTENING[action.id] && kind && kind !== action.id);
    const draw = (action) => this.#button(action, row, isOn(action));
    const [first, rest, apart] = placed(ACTIONS.filter(shown), row, isOn);
    fill(this.menu, rest.map(draw));
    if (!rest.length) this.#open(false);
    fill(this.element, first.map(draw), rest.length ? [this.more, this.menu] : null, apart.length ? h("div", { class: "apart" }, apart.map(draw)) : null);
    if (focused) this.element.querySelector(`[data-action="${focused}"]`)?.focus();
  }

  /** Show what may be done to a call that is over, beside what is told of it. */
  showOver(row, ...told) {
    const shown = ACTIONS.filter((action) => action.afterwards && isFor(action, row));
    fill(this.element, ...told, shown.map((action) => this.#button(action, row, false)));
  }

  #button(action, row, isOn) {
    const key = keyOf(action.id);
    return h("button", { type: "button", class: [action.danger && "danger", action.isOn && isOn && "on"].filter(Boolean).join(" "), dataset: { action: action.id }, "aria-pressed": LISTENING[action.id] ? String(isOn) : null, "aria-keyshortcuts": key, onclick: () => this.#press(action.id) },
      LISTENING[action.id] && isOn ? "Stop listening" : labelOf(action, row), key ? [" ", h("kbd", { text: key })] : null);
  }

  #press(id) {
    if (!this.menu.hidden) { this.#open(false); this.more.focus(); }
    this.act(id);
  }

  #open(wanted) {
    this.menu.hidden = !wanted;
    this.more.setAttribute("aria-expanded", String(wanted));
    if (wanted) this.menu.querySelector("button")?.focus();
  }
}
