// Who is there of those who take callers: their roles, what they do, and since when.

import { attempt, may, put, user } from "./api.js";
import { $, badge, clip, empty, fill, h } from "./dom.js";
import { age, clock, learnClock, moment, zone } from "./format.js";
import { key } from "./keys.js";
import { poll } from "./poll.js";
import { Table } from "./table.js";
import { useKeys } from "./table_keys.js";

const STATES = { available: ["good", "available"], on_call: ["info", "on a call"], away: ["", "away"] };
const ORDER = Object.keys(STATES);
const DOES = { listens: "listens to", whispers: "whispers in", shows: "shows a picture in", says: "speaks through the AI in" };
const link = (callId) => (may("calls.view") ? h("a", { href: `/calls#${callId}`, tabindex: -1, text: callId }) : callId);

const columns = [
  { id: "name", label: "Name", wide: true, value: (r) => r.user, cell: (r) => clip(r.user) },
  { id: "roles", label: "Role", value: (r) => r.roles.join(", "), cell: (r) => clip(r.roles.join(", ")) },
  { id: "state", label: "State", value: (r) => ORDER.indexOf(r.state), cell: (r) => badge(...STATES[r.state]) },
  { id: "since", label: `Since, ${zone()}`, value: (r) => r.since_at ?? 0, cell: (r) => (r.since_at ? h("span", { class: "nowrap", text: moment(r.since_at) }) : "") },
  { id: "for", label: "For", number: true, value: (r) => r.since_at ?? 0, cell: (r) => age(r.since_at) },
  { id: "call", label: "Has the caller of", value: (r) => r.call_id ?? "", cell: (r) => (r.call_id ? link(r.call_id) : "") },
  { id: "watches", label: "Watches", wide: true, value: (r) => r.watches.length, cell: (r) => watched(r) },
  { id: "idle", label: "Page last used", number: true, value: (r) => r.idle_s, cell: (r) => `${clock(r.idle_s * 1000)} ago` },
];

/** Return what somebody watches and since when, one line, the rest told on pointing at it. */
function watched({ watches }) {
  if (!watches.length) return "";
  const said = watches.map((each) => `${DOES[each.does] ?? each.does} ${each.call_id}${each.since_at ? ` since ${moment(each.since_at)}` : ""}`);
  const [first] = watches;
  return h("span", { class: "clip", title: said.join("; ") }, `${DOES[first.does] ?? first.does} `, link(first.call_id), first.since_at ? ` for ${age(first.since_at)}` : "", watches.length > 1 ? ` and ${watches.length - 1} more` : "");
}

let people = [];
const table = new Table({ name: "people", columns, key: (r) => r.user, caption: "People", onOpen: (r) => { if (r.call_id && may("calls.view")) location.assign(`/calls#${r.call_id}`); } });
table.onSort = () => arrange();
$("#list").append(table.element);
$("#tools").append(table.chooser(), h("button", { type: "button", text: "CSV", onclick: () => table.save() }));

function arrange() {
  const text = $("#search").value.toLowerCase();
  const shown = people.filter((r) => !text || [r.user, ...r.roles, STATES[r.state][1], r.call_id, ...r.watches.map((each) => each.call_id)].join(" ").toLowerCase().includes(text));
  table.show(table.sorted(shown, (a, b) => a.user.localeCompare(b.user)));
  $("#list").hidden = !shown.length;
  fill($("#none"), shown.length ? null : empty(people.length ? "Nobody matches" : "Nobody is here", people.length ? "Clear the search to see all." : "Who signs in and may take callers appears here."));
  const count = (state) => people.filter((r) => r.state === state).length;
  $("#count").textContent = people.length ? ORDER.map((state) => `${count(state)} ${STATES[state][1]}`).join(", ") : "";
}

function draw({ at_ms, people: found }) {
  learnClock(at_ms);
  people = found;
  arrange();
  const me = people.find((r) => r.user === user);
  const button = $("#mine");
  button.hidden = !me || me.state === "on_call";
  button.textContent = me?.state === "away" ? "I am available" : "I am away";
  button.onclick = async () => { if ((await attempt(put("/presence", { state: me.state === "away" ? "available" : "away" }))) !== undefined) again(); };
}

useKeys(table, $("#search"));
key("close", () => document.activeElement.blur());
$("#search").addEventListener("input", arrange);
const again = poll("/presence", 3000, "people", draw);
setInterval(() => table.refresh(["for", "watches"]), 1000);
