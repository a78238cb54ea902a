// Callers who wait for a person: who waits longest first; the summary is read before accepting.

import { accept as take, checkMicrophone } from "./actions.js";
import { may, user } from "./api.js";
import { Drawer } from "./drawer.js";
import { $, empty, fill, h } from "./dom.js";
import { age, clock, learnClock, now, percent } from "./format.js";
import { healthMark } from "./health.js";
import { key } from "./keys.js";
import { poll } from "./poll.js";
import { band, marked, thresholdsButton } from "./thresholds.js";

const list = $("#list");
const drawer = new Drawer($("#drawer"), { onClose: () => $(".with-drawer").classList.remove("open") });
const seen = new Map();
const tiles = h("div", { class: "tiles" });
const items = h("div", { class: "items" });
fill(list, h("div", { class: "stack" }, tiles, items));

let had = null;

/** Follow the caller whom one has: their drawer is open, after a reload of the page, too. */
function follow(yours) {
  const [first] = yours;
  if (first && !drawer.callId) show(first);
  const open = yours.find((row) => row.call_id === drawer.callId);
  if (open) drawer.update(open);
  else if (had && had === drawer.callId) drawer.update({ ...drawer.row, held_by: "", hold: "" });
  had = open ? open.call_id : null;
}

function draw({ at_ms, waiting, yours, figures }) {
  learnClock(at_ms);
  follow(yours);
  const tile = (label, value, name = "") => h("div", { class: `tile ${band(name, figures[name])}` }, h("span", { class: "value" }, marked(name, figures[name], value)), h("span", { class: "label", text: label }));
  fill(tiles,
    tile("waiting", String(figures.waiting), "waiting"), tile("oldest wait", clock(figures.oldest_wait_ms), "oldest_wait_ms"),
    tile(`taken within ${figures.service_level_ms / 1000} s`, percent(figures.service_level), "service_level"), tile("abandoned", percent(figures.abandoned), "abandoned"), tile("mean wait", figures.average_wait_ms === null ? "–" : clock(figures.average_wait_ms)));
  const ids = new Set(waiting.map((row) => row.call_id));
  for (const [id, { element }] of seen) if (!ids.has(id)) { element.remove(); seen.delete(id); }
  items.querySelector(".empty")?.remove();
  if (!waiting.length) { fill(items, empty("Nobody waits", "A caller who is to be put through to a person appears here.")); return; }
  for (const row of waiting) {
    const known = seen.get(row.call_id);
    if (known && JSON.stringify(known.row) === JSON.stringify(row)) continue;
    const element = card(row);
    const controls = (within) => [...within.querySelectorAll("button, a")];
    const focused = known ? controls(known.element).indexOf(document.activeElement) : -1;
    if (known) known.element.replaceWith(element); else items.append(element);
    controls(element)[focused]?.focus();
    seen.set(row.call_id, { element, row });
  }
}

function card(row) {
  const wait = h("b", { dataset: { since: row.waiting_since_at ?? row.state_since_at }, class: "wait", text: age(row.waiting_since_at ?? row.state_since_at) });
  return h("article", { class: "card item", "aria-label": `Caller ${row.from}` },
    h("div", { class: "spread" }, h("h2", { text: `${row.from} for ${row.handoff_target ?? "a person"}` }), h("span", {}, "waits ", wait)),
    h("div", { class: "toolbar" }, healthMark(row.health), h("span", { class: "muted", text: [row.dialplan, ...row.health_reasons].filter(Boolean).join(", ") })),
    h("p", { class: "summary", text: row.handoff_summary || "The AI has written no summary." }),
    h("div", { class: "toolbar" },
      may("queue.accept") ? h("button", { type: "button", class: "primary", text: "Accept", onclick: () => accept(row) }) : null,
      may("queue.accept") ? h("button", { type: "button", text: "Accept by phone", onclick: () => acceptByPhone(row) }) : null,
      may("transcript.view") && may("calls.view") ? h("a", { class: "button", href: `/calls#${row.call_id}`, text: "Read the transcript" }) : null,
      row.held_by ? h("span", { text: `held by ${row.held_by}` }) : null));
}

/** Take a caller over: the summary is read first, the microphone is heard first. */
async function accept(row) {
  if (drawer.talks && !(await drawer.mayLeave())) return;
  const microphone = await checkMicrophone(row, { title: `Talk to ${row.from}?`, text: `${row.handoff_summary || "The AI has written no summary."} The caller hears you as soon as you accept.`, button: "Accept and talk" });
  if (!microphone) return;
  if (!(await take(row.call_id, microphone))) {
    microphone.getTracks().forEach((track) => track.stop());
    return;
  }
  show(taken(row));
  await drawer.talk(microphone);
}

async function acceptByPhone(row) {
  if (await take(row.call_id, null)) show(taken(row));
}

/** Return a row as it is once its caller is ours, until its node says so. */
const taken = (row) => ({ ...row, state: "human", state_since_at: now(), held_by: user, handled_by: user, hold: "awaited" });

/** Show a caller who is ours now. */
function show(row) {
  drawer.open(row.call_id, row);
  $(".with-drawer").classList.add("open");
}

key("close", () => (drawer.callId ? drawer.close() : false));
const again = poll("/queue", 1500, "waiting callers", draw);
$("#tools").append(thresholdsButton(["waiting", "oldest_wait_ms", "service_level", "abandoned"], () => again()));
setInterval(() => { for (const each of items.querySelectorAll(".wait")) each.textContent = clock(now() - Number(each.dataset.since)); drawer.tick(); }, 1000);
