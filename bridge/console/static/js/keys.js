// Keyboard shortcuts: one table. Pages say what each does there, the help shows those, and everybody
// may turn them off or give them other keys (WCAG 2.1.4).

import { $, h } from "./dom.js";
import { keep, kept } from "./prefs.js";

/** id, key as in KeyboardEvent.key with what is held before it, what it does. */
export const SHORTCUTS = [
  ["next", "j", "Next call"], ["previous", "k", "Call before"], ["search", "/", "Search"], ["changes", "r", "Show changes"],
  ["listen", "m", "Listen"], ["whisper", "w", "Whisper to the AI"], ["flag", "f", "Flag with a note"],
  ["take_over", "Shift+T", "Take over (asks first)"], ["end", "Shift+E", "End the call (asks first)"], ["help", "?", "This help"],
].map(([id, key, what]) => ({ id, key, what }));

/** Keys that mean the same everywhere. They are neither turned off nor given away. */
const FIXED = [["open", "Enter", "Open the call"], ["close", "Escape", "Close the call, leave the field"], ["down", "ArrowDown", "Next row"], ["up", "ArrowUp", "Row before"], ["first", "Home", "First row"], ["last", "End", "Last row"]];
const TAKEN = new Set([...FIXED.map(([, key]) => key), "Tab", " ", "ArrowLeft", "ArrowRight", "PageUp", "PageDown"]);

const acts = new Map();
let on = kept("keys", true);
let chosen = kept("keys.chosen", {});

export const areOn = () => on;
export function turn(wanted) { on = wanted; keep("keys", on); }

const current = ({ id, key }) => chosen[id] ?? key;

/** Return the key of a shortcut as it is written; null where there is none, or they are off. */
export function keyOf(id) {
  const shortcut = SHORTCUTS.find((each) => each.id === id);
  return shortcut && on ? current(shortcut) : null;
}

/** Say what a shortcut does on this page; false from it leaves the key to the browser. */
export function key(id, act) { acts.set(id, act); }

/** Return how a key is written, with what is held: `j`, `Shift+T`, `Alt+L`, `F2`. */
export function written(event) {
  const letter = /^\p{L}$/u.test(event.key);
  const held = [event.ctrlKey && "Ctrl", event.altKey && "Alt", event.metaKey && "Meta", event.shiftKey && letter && "Shift"].filter(Boolean);
  const last = !letter ? event.key : held.length ? event.key.toUpperCase() : event.key.toLowerCase();
  return [...held, last].join("+");
}

/** Give a shortcut another key; return why not, or "" if it has it now. */
export function choose(id, name) {
  if (TAKEN.has(name)) return `${name === " " ? "Space" : name} is needed to move about.`;
  const other = SHORTCUTS.find((each) => each.id !== id && current(each) === name);
  if (other) return `${name} is taken: “${other.what}”. Give that another key first.`;
  chosen = { ...chosen, [id]: name };
  keep("keys.chosen", chosen);
  return "";
}

export function forgetChoices() { chosen = {}; keep("keys.chosen", chosen); }

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || $("dialog[open]")) return;
  const name = written(event);
  if (typing(event.target) && name !== "Escape") return;
  const id = FIXED.find(([, wanted]) => wanted === name)?.[0] ?? SHORTCUTS.find((each) => keyOf(each.id) === name)?.id;
  const act = acts.get(id);
  if (act && act(event) !== false) event.preventDefault();
});

export function help() {
  const row = (name, what) => h("tr", {}, h("td", {}, h("kbd", { text: name })), h("td", { text: what }));
  const check = h("input", { type: "checkbox", checked: on, onchange: () => turn(check.checked) });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "help-title" },
    h(
      "div",
      { class: "body" },
      h("h2", { id: "help-title", text: "Keyboard" }),
      h("table", { class: "help-table" }, h("tbody", {}, SHORTCUTS.filter(({ id }) => acts.has(id)).map((each) => row(current(each), each.what)), FIXED.filter(([id]) => acts.has(id)).map(([, name, what]) => row(name, what)))),
      h("label", { class: "check" }, check, "Shortcuts are on"),
      h("p", { class: "small muted" }, h("a", { href: "/account#keyboard", text: "Give them other keys" })),
      h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", text: "Close", onclick: () => dialog.close() })),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

key("help", help);
