// INVITEs that became no call: whose, how they were answered, and what was said in the latest.

import { attempt, get } from "./api.js";
import { $, clip, empty, fill, h } from "./dom.js";
import { learnClock, moment, zone } from "./format.js";
import { key } from "./keys.js";
import { sipLadder } from "./ladder.js";
import { poll } from "./poll.js";
import { Table } from "./table.js";
import { useKeys } from "./table_keys.js";

const keyOf = (r) => [r.node, r.trunk, r.answer].join("\n");
const trunk = (r) => r.trunk || "no trunk";
const time = (ms) => h("span", { class: "nowrap", text: moment(ms) });

const columns = [
  { id: "answer", label: "Answer", wide: true, value: (r) => r.answer, cell: (r) => clip(r.answer) },
  { id: "trunk", label: "Trunk", value: trunk, cell: (r) => clip(trunk(r)) },
  { id: "refused", label: "Refused", number: true, value: (r) => r.refused, cell: (r) => String(r.refused) },
  { id: "kept", label: "Kept", number: true, value: (r) => r.kept, cell: (r) => String(r.kept) },
  { id: "first", label: `First kept, ${zone()}`, value: (r) => r.first_at_ms, cell: (r) => time(r.first_at_ms) },
  { id: "last", label: `Last, ${zone()}`, value: (r) => r.last_at_ms, cell: (r) => time(r.last_at_ms) },
  { id: "node", label: "Node", value: (r) => r.node, cell: (r) => clip(r.node) },
];

let groups = [];
const table = new Table({ name: "refusals", columns, key: keyOf, caption: "Refused calls", onOpen: open });
table.onSort = () => arrange();
$("#list").append(table.element);
$("#tools").append(table.chooser(), h("button", { type: "button", text: "CSV", onclick: () => table.save() }));

function arrange() {
  const text = $("#search").value.toLowerCase();
  const shown = groups.filter((r) => !text || [r.answer, trunk(r), r.node].join(" ").toLowerCase().includes(text));
  table.show(table.sorted(shown, (a, b) => b.last_at_ms - a.last_at_ms));
  $("#list").hidden = !shown.length;
  fill($("#none"), shown.length ? null : empty(groups.length ? "Nothing matches" : "No call was refused", groups.length ? "Clear the search to see all." : "INVITEs that become no call appear here for 24 hours."));
}

function draw({ at_ms, groups: found, mute }) {
  learnClock(at_ms);
  groups = found;
  arrange();
  const refused = groups.reduce((sum, each) => sum + each.refused, 0);
  $("#count").textContent = groups.length ? `${refused} refused` : "";
  $("#mute").hidden = !mute.length;
  $("#mute").textContent = mute.length ? `No answer from ${mute.join(", ")}: theirs are missing.` : "";
}

/** Show what was said in the latest INVITEs of a row. */
async function open(row) {
  const box = $("#said-there");
  const found = await attempt(get(`/refusals/messages?${new URLSearchParams({ trunk: row.trunk, answer: row.answer })}`));
  if (!found) return;
  const of = found.refusals.filter((each) => each.node === row.node);
  fill(box, h("h2", { text: `${row.answer}, ${trunk(row)}: the latest` }),
    of.length ? of.map((each) => h("div", { class: "rungs", tabindex: 0, role: "region", "aria-label": "SIP messages of one INVITE" }, sipLadder(each.messages))) : h("p", { class: "muted", text: "None of these is kept any more." }));
  box.hidden = false;
  box.focus();
}

useKeys(table, $("#search"));
key("close", () => { $("#said-there").hidden = true; document.activeElement.blur(); });
$("#search").addEventListener("input", arrange);
poll("/refusals", 5000, "refused calls", draw);
