// What does not come any more: one bar over the whole page, said once.

import { $, fill, h, icon } from "./dom.js";
import { time } from "./format.js";

const lost = new Map();
let told = null;

/**
 * Note whether something live comes.
 * @param {string} what it is, as people call it
 * @param {boolean} isLost
 * @param {string} why, where that is known
 */
export function note(what, isLost, why = "") {
  if (!isLost) lost.delete(what);
  else if (!lost.has(what)) lost.set(what, { since: Date.now(), why });
  // An alert is said whenever it changes: it stays as it is until what it tells of is back.
  if (told !== null && lost.has(told)) return;
  const [next] = lost;
  if (!next && told === null) return;
  told = next ? next[0] : null;
  fill($("#loss"), next ? bar(...next) : null);
}

function bar(what, { since, why }) {
  return h("p", {}, icon("bad"), h("b", { text: "No live data." }), h("span", { text: `What you see of ${what} has been old since ${time(since)}.` }), why ? h("span", { class: "clip", title: why, text: why }) : null);
}
