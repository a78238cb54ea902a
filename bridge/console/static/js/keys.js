// Keyboard shortcuts: one list, which the help shows; they can be turned off (WCAG 2.1.4).

import { $, h } from "./dom.js";
import { keep, kept } from "./prefs.js";

const known = [];
let on = kept("keys", true);

/** Add a shortcut. `key` as in KeyboardEvent.key, "Shift+T" for a shifted one. */
export function key(name, what, act, { shown = true } = {}) {
  known.push({ name, what, act, shown });
}

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || $("dialog[open]")) return;
  const name = event.shiftKey && /^[a-z]$/i.test(event.key) ? `Shift+${event.key.toUpperCase()}` : event.key;
  if (typing(event.target) && name !== "Escape") return;
  if (!on && !["Escape", "Enter"].includes(name)) return;
  for (const { name: wanted, act } of known) {
    if (wanted === name && act(event) !== false) { event.preventDefault(); return; }
  }
});

export function help() {
  const rows = known.filter(({ shown }) => shown).map(({ name, what }) => h("tr", {}, h("td", {}, h("kbd", { text: name === " " ? "Space" : name })), h("td", { text: what })));
  const check = h("input", { type: "checkbox", checked: on, onchange: () => { on = check.checked; keep("keys", on); } });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "help-title" },
    h(
      "div",
      { class: "body" },
      h("h2", { id: "help-title", text: "Keyboard" }),
      h("table", { class: "help-table" }, h("tbody", {}, rows)),
      h("label", { class: "check" }, check, "Shortcuts are on"),
      h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", text: "Close", onclick: () => dialog.close() })),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

key("?", "This help", help);
