// The list of live calls: worst health first, then longest. Rows don't jump under the cursor.

import { $, badge, clip, empty, fill, h, icon } from "./dom.js";
import { Drawer } from "./drawer.js";
import { age, arms, clock, learnClock, now, span } from "./format.js";
import { folding } from "./fold.js";
import { band, healthMark, stateBadge } from "./health.js";
import { keyOf, key } from "./keys.js";
import { keep, kept } from "./prefs.js";
import { follow, isPaused, onResume, showState } from "./stream.js";
import { Table } from "./table.js";
import { useKeys } from "./table_keys.js";
import { marked, thresholdsButton } from "./thresholds.js";
import { views } from "./views.js";
import { watcherCount } from "./watchers.js";

const calls = new Map();
const NONE = { text: "", route: "", arm: "", state: "", health: "" };
// Who comes from a figure sees its calls, whatever was filtered before.
const asked = Object.fromEntries([...new URLSearchParams(location.search)].filter(([name]) => name in NONE));
const filters = Object.keys(asked).length ? { ...NONE, ...asked } : { ...NONE, ...kept("live.filters", {}) };
const silence = (row) => (row.silent_since_at && !["ringing", "transferring", "human", "bridged"].includes(row.state) ? now() - row.silent_since_at : null);

// What a glance is for stands first: it stays in view where there is little room.
const columns = [
  { id: "health", label: "Health", wide: true, value: (r) => r.health, cell: (r) => h("span", { class: "one-line" }, healthMark(r.health), r.health_reasons.length ? clip(r.health_reasons.join(", "), "why") : null) },
  { id: "from", label: "Caller", value: (r) => r.from, cell: (r) => h("span", { class: "one-line" }, clip(r.from), r.flagged ? h("span", { title: "flagged" }, flag()) : null) },
  { id: "state", label: "State", value: (r) => r.state, cell: (r) => h("span", { class: "one-line" }, stateBadge(r.state), r.lost ? clip("no word from its node", "why") : null) },
  { id: "silence", label: "Silence", number: true, value: silence, cell: (r) => (silence(r) === null ? "" : marked("silence_ms", silence(r), clock(silence(r)))) },
  { id: "watchers", label: "Watching", value: (r) => r.watchers ?? "", cell: (r) => watching(r) },
  { id: "route", label: "Route", value: (r) => r.dialplan, cell: (r) => clip(r.dialplan ?? "") },
  { id: "to", label: "Dialled", value: (r) => r.to, cell: (r) => clip(r.to), off: true },
  { id: "arm", label: "Arm", value: (r) => r.arm, cell: (r) => clip(arms(r)) },
  { id: "model", label: "Model", value: (r) => r.model, cell: (r) => clip(r.model ?? ""), off: true },
  { id: "in_state", label: "In state", number: true, value: (r) => r.state_since_at && now() - r.state_since_at, cell: (r) => age(r.state_since_at) },
  { id: "age", label: "Age", number: true, value: (r) => r.started_at && now() - r.started_at, cell: (r) => age(r.started_at) },
  { id: "last_turn", label: "Last answer", number: true, value: (r) => r.last_turn_ms, cell: (r) => marked("answer_ms", r.last_turn_ms, span(r.last_turn_ms)) },
  { id: "cuts", label: "Cuts: caller / AI", number: true, value: (r) => r.interruptions_caller ?? 0, cell: (r) => `${r.interruptions_caller ?? 0} / ${r.interruptions_agent ?? 0}` },
  { id: "tools", label: "Tool failures", number: true, value: (r) => r.tool_failures ?? 0, cell: (r) => String(r.tool_failures ?? 0), off: true },
  { id: "verstat", label: "Caller ID check", value: (r) => r.verstat, cell: (r) => clip(r.verstat ?? ""), off: true },
  { id: "node", label: "Node", value: (r) => r.node, cell: (r) => clip(r.node ?? ""), off: true },
];

function flag() { const svg = icon("flag"); svg.classList.add("icon"); return svg; }
function watching(row) {
  const parts = [];
  if (row.held_by) parts.push(badge("bad", clip(`held by ${row.held_by}`), "phone"));
  const watchers = watcherCount(row);
  if (watchers) parts.push(watchers);
  return parts.length ? h("span", { class: "one-line" }, parts) : "";
}

const box = $("#live-table");
const drawer = new Drawer($("#drawer"), { onClose: () => { table.select(null); layout(false); table.rows.get(table.focused)?.element.focus(); } });
const table = new Table({ name: "live-calls", columns, key: (row) => row.call_id, caption: "Live calls", onOpen: open });
table.onSort = () => arrange();
box.append(table.element);
const read = () => ({ filters: { ...filters }, sort: table.sort });
const apply = (values) => { table.sortBy(values.sort); refilter({ ...NONE, ...values.filters }); };
$("#live-tools").append(views("live", read, apply), table.chooser(), thresholdsButton(["answer_ms", "silence_ms"], () => table.refresh(["last_turn", "silence"])), h("button", { type: "button", text: "CSV", onclick: () => table.save() }));

async function open(row) {
  if (drawer.talks && drawer.callId !== row.call_id && !(await drawer.mayLeave())) return;
  table.select(row.call_id);
  layout(true);
  drawer.open(row.call_id, calls.get(row.call_id) ?? row);
  history.replaceState(null, "", `#${row.call_id}`);
}
function layout(isOpen) {
  $(".with-drawer").classList.toggle("open", isOpen);
  if (!isOpen) history.replaceState(null, "", location.pathname);
}

// Which rows, in which order

const worst = (a, b) => a.health - b.health || a.started_at - b.started_at;

function wanted(row) {
  const text = filters.text.toLowerCase();
  return (!text || [row.call_id, row.from, row.to, row.dialplan, row.arm, row.node, row.state, row.model, ...row.health_reasons].join(" ").toLowerCase().includes(text))
    && (!filters.route || row.dialplan === filters.route)
    && (!filters.arm || row.arm === filters.arm)
    && (!filters.state || row.state === filters.state)
    && (!filters.health || (filters.health === "bad" ? band(row.health) === "bad" : band(row.health) !== "good"));
}

let waiting = 0;
const pointed = () => box.matches(":hover") || box.contains(document.activeElement);

/** Put the rows in order now. */
function arrange() {
  waiting = 0;
  table.show(table.sorted([...calls.values()].filter(wanted), worst));
  tell();
}

/** Take changes: in place at once; order and new rows wait while somebody is in the table. */
function take(rows, gone) {
  for (const id of gone) calls.delete(id);
  for (const row of rows) calls.set(row.call_id, row);
  if (isPaused()) return;
  const order = table.sorted([...calls.values()].filter(wanted), worst).map(table.key);
  if (pointed()) {
    const before = new Set(table.order);
    for (const row of rows) if (table.rows.has(row.call_id)) table.put(row);
    for (const id of gone) markGone(id);
    const moved = order.filter((id, at) => table.order[at] !== id).length;
    waiting = moved ? Math.max(order.filter((id) => !before.has(id)).length + gone.filter((id) => before.has(id)).length, 1) : 0;
    tell();
  } else arrange();
  for (const row of rows) if (row.call_id === drawer.callId) drawer.update(row);
  if (gone.includes(drawer.callId)) drawer.ended();
}

function markGone(id) {
  const known = table.rows.get(id);
  if (known) { known.element.classList.add("lost"); table.put({ ...known.row, state: "ended", lost: true }); }
}

function tell() {
  const shown = table.order.length;
  fill($("#live-empty"), shown ? null : calls.size ? empty("No call matches", "Clear the filters to see all calls.") : empty("No live calls", "All is quiet. A call appears here within a second of its ringing."));
  box.hidden = !shown;
  const button = $("#changes");
  button.hidden = !waiting;
  button.textContent = [`${waiting} ${waiting === 1 ? "change" : "changes"}`, keyOf("changes") ? `press ${keyOf("changes")}` : "show"].join(", ");
  summary();
}

function summary() {
  const all = [...calls.values()];
  const of = (test) => all.filter(test).length;
  $("#sum-live").textContent = String(all.length);
  $("#sum-bad").textContent = String(of((r) => band(r.health) !== "good"));
  $("#sum-waiting").textContent = String(of((r) => r.state === "transferring"));
  $("#sum-human").textContent = String(of((r) => r.state === "human"));
  $("#tile-bad").className = `tile ${of((r) => band(r.health) === "bad") ? "bad" : of((r) => band(r.health) === "warn") ? "warn" : "good"}`;
  $("#tile-waiting").className = `tile ${of((r) => r.state === "transferring") > 2 ? "warn" : ""}`;
  options("#filter-route", "dialplan", "All routes");
  options("#filter-arm", "arm", "All arms");
  options("#filter-state", "state", "All states");
}

function options(selector, name, all) {
  const select = $(selector);
  const chosen = filters[selector.slice("#filter-".length)];
  const values = [...new Set([...calls.values()].map((row) => row[name]).concat(chosen).filter(Boolean))].sort();
  const drawn = [...select.options].map((option) => option.value).join("|");
  if (drawn === ["", ...values].join("|")) return;
  fill(select, h("option", { value: "", text: all }), values.map((value) => h("option", { value, text: value, selected: value === chosen })));
}

// Filters

const SELECTS = ["route", "arm", "state"];
for (const name of SELECTS) $(`#filter-${name}`).addEventListener("change", (event) => refilter({ [name]: event.target.value }));
$("#search").addEventListener("input", (event) => refilter({ text: event.target.value }));
$("#filter-health").addEventListener("click", () => refilter({ health: filters.health ? "" : "unwell" }));
$("#tile-bad").addEventListener("click", () => refilter({ health: filters.health ? "" : "unwell" }));
for (const [id, state] of [["#tile-waiting", "transferring"], ["#tile-human", "human"]]) {
  $(id).addEventListener("click", () => refilter({ state: filters.state === state ? "" : state }));
}

/** Filter otherwise, and show by what. */
function refilter(change) {
  Object.assign(filters, change);
  keep("live.filters", filters);
  arrange();
  showFilters();
}

const tellFilters = folding(() => [filters.route, filters.arm, filters.state, filters.health].filter(Boolean).length);

function showFilters() {
  tellFilters();
  if ($("#search").value !== filters.text) $("#search").value = filters.text;
  for (const name of SELECTS) $(`#filter-${name}`).value = filters[name];
  for (const id of ["#filter-health", "#tile-bad"]) $(id).setAttribute("aria-pressed", String(Boolean(filters.health)));
  $("#tile-waiting").setAttribute("aria-pressed", String(filters.state === "transferring"));
  $("#tile-human").setAttribute("aria-pressed", String(filters.state === "human"));
}

$("#changes").addEventListener("click", arrange);
onResume(arrange);

// Keys

useKeys(table, $("#search"));
key("close", () => (drawer.callId ? drawer.close() : document.activeElement.blur()));
key("changes", arrange);
for (const action of ["listen", "whisper", "flag", "take_over", "end"]) {
  key(action, () => {
    if (!drawer.callId && table.focused && table.element.contains(document.activeElement)) table.open();
    return drawer.callId ? drawer.act(action) : false;
  });
}

// Data

follow("/calls/stream", {
  snapshot: ({ at_ms, rows }) => {
    learnClock(at_ms);
    const before = [...calls.keys()];
    calls.clear();
    take(rows, before.filter((id) => !rows.some((row) => row.call_id === id)));
    const linked = location.hash.slice(1);
    if (linked && !drawer.callId && calls.has(linked)) open(calls.get(linked));
  },
  diff: ({ at_ms, rows, gone }) => { learnClock(at_ms); take(rows, gone); },
}, showState, "live calls");

setInterval(() => { if (!isPaused()) table.refresh(["in_state", "age", "silence"]); drawer.tick(); }, 1000);
tell();
showFilters();
