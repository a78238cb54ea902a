// Callers who wait for a person: who waits longest first; the summary is read before accepting.

import { attempt, may, post } from "./api.js";
import { ask } from "./dialogs.js";
import { $, empty, fill, h } from "./dom.js";
import { age, clock, learnClock, now, percent, words } from "./format.js";
import { healthMark } from "./health.js";
import { poll } from "./poll.js";

const list = $("#list");
const seen = new Map();
const tiles = h("div", { class: "tiles" });
const items = h("div");
fill(list, h("div", { class: "stack" }, tiles, items));

function draw({ at_ms, waiting, figures }) {
  learnClock(at_ms);
  const tile = (label, value, kind = "") => h("div", { class: `tile ${kind}` }, h("span", { class: "value", text: value }), h("span", { class: "label", text: label }));
  fill(tiles,
    tile("waiting", String(figures.waiting), figures.waiting > 5 ? "bad" : figures.waiting > 2 ? "warn" : "good"), tile("oldest wait", clock(figures.oldest_wait_ms), figures.oldest_wait_ms > 60000 ? "bad" : figures.oldest_wait_ms > 20000 ? "warn" : "good"),
    tile(`taken within ${figures.service_level_ms / 1000} s`, percent(figures.service_level)), tile("abandoned", percent(figures.abandoned)), tile("mean wait", figures.average_wait_ms === null ? "–" : clock(figures.average_wait_ms)));
  const ids = new Set(waiting.map((row) => row.call_id));
  for (const [id, { element }] of seen) if (!ids.has(id)) { element.remove(); seen.delete(id); }
  items.querySelector(".empty")?.remove();
  if (!waiting.length) { fill(items, empty("Nobody waits", "A caller who is to be put through to a person appears here.")); return; }
  for (const row of waiting) {
    const known = seen.get(row.call_id);
    if (known && JSON.stringify(known.row) === JSON.stringify(row)) continue;
    const element = card(row);
    if (known) known.element.replaceWith(element); else items.append(element);
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
      may("transcript.view") && may("calls.view") ? h("a", { class: "button", href: `/calls#${row.call_id}`, text: "Read the transcript" }) : null,
      row.held_by ? h("span", { text: `held by ${row.held_by}` }) : null));
}

async function accept(row) {
  const given = await ask({ title: `Take ${row.from} over?`, text: row.handoff_summary || "The AI has written no summary.", button: "Accept and talk" });
  if (!given) return;
  const found = await attempt(post(`/queue/${row.call_id}/accept`));
  if (found?.accepted === false) await ask({ title: "Not accepted", text: words(found.reason), button: "OK" });
  else if (found && may("calls.view")) location.assign(`/calls#${row.call_id}`);
}

poll("/queue", 1500, draw);
setInterval(() => { for (const each of items.querySelectorAll(".wait")) each.textContent = clock(now() - Number(each.dataset.since)); }, 1000);
