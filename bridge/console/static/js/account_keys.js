// Shortcuts on the account's page: on or off, and each one's key.

import { $, fill, h } from "./dom.js";
import { SHORTCUTS, areOn, choose, forgetChoices, keyOf, turn, written } from "./keys.js";

const rows = $("#shortcuts");
const problem = $("#key-problem");
const HELD = new Set(["Control", "Shift", "Alt", "AltGraph", "Meta", "CapsLock"]);

function complain(text) {
  problem.hidden = !text;
  problem.textContent = text;
}

function draw() {
  fill(rows, SHORTCUTS.map(({ id, what }) => {
    const key = keyOf(id) ?? "off";
    const button = h("button", { type: "button", dataset: { shortcut: id }, "aria-label": `${what}: ${key}. Change`, disabled: !areOn(), onclick: () => listen(id, button) }, h("kbd", { text: key }));
    return h("tr", {}, h("th", { scope: "row", text: what }), h("td", {}, button));
  }));
}

/** Take the next key that is pressed; Escape or going elsewhere leaves it as it was. */
function listen(id, button) {
  complain("");
  fill(button, "Press a key…");
  const stop = () => {
    button.removeEventListener("keydown", take);
    button.removeEventListener("blur", stop);
    draw();
  };
  const take = (event) => {
    if (HELD.has(event.key)) return;
    if (event.key !== "Tab") event.preventDefault();
    if (event.key !== "Escape" && event.key !== "Tab") complain(choose(id, written(event)));
    stop();
    if (event.key !== "Tab") $(`[data-shortcut="${id}"]`, rows).focus();
  };
  button.addEventListener("keydown", take);
  button.addEventListener("blur", stop);
}

const check = $("#keys-on");
check.checked = areOn();
check.addEventListener("change", () => { turn(check.checked); draw(); });
$("#keys-default").addEventListener("click", () => { forgetChoices(); complain(""); draw(); });
draw();
