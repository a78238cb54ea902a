// How calls went by hour and route.

import { bars } from "./bars.js";
import { $, clip, empty, fill, h } from "./dom.js";
import { clock, learnClock, moment, percent, span, when, zone } from "./format.js";
import { key } from "./keys.js";
import { keep, kept } from "./prefs.js";
import { poll } from "./poll.js";
import { Table } from "./table.js";

const HOUR_MS = 3600000;
const number = (id, label, write = String) => ({ id, label, number: true, value: (r) => r[id], cell: (r) => (r[id] === null ? "" : write(r[id])) });
/** name, label, how it is written, what the highest bar stands for at least, what an hour without calls has. */
const CHARTS = [
  ["calls", "Calls", String, 1, 0], ["answered", "Answered", String, 1, 0], ["containment", "Handled by the AI alone", percent, 1, null], ["service_level", "Taken in time", percent, 1, null],
  ["abandonment", "Abandoned", percent, 1, null], ["broken", "Broken", String, 1, 0], ["average_duration_ms", "Mean length", clock, 60000, null], ["average_response_ms", "Mean answer", span, 1000, null],
];
const columns = [
  { id: "hour", label: `Hour, ${zone()}`, value: (r) => r.hour_at, cell: (r) => h("span", { class: "nowrap", text: moment(r.hour_at) }) },
  { id: "route", label: "Route", value: (r) => r.route, cell: (r) => clip(r.route || "none") },
  number("calls", "Calls"), number("answered", "Answered"), number("contained", "AI alone"), number("with_person", "With a person"), number("offered", "Offered a person"), number("in_time", "Taken in time"), number("abandoned", "Abandoned"), number("broken", "Broken"),
  number("average_duration_ms", "Mean length", clock), number("average_response_ms", "Mean answer", span),
];

const chosen = { route: "", hours: "24", ...kept("trends", {}) };
const table = new Table({ name: "trends", columns, key: (r) => `${r.hour_at} ${r.route}`, caption: "Calls by hour and route", onOpen: () => {} });
let rows = [];
table.onSort = () => arrange();
$("#list").append(table.element);
$("#tools").append(table.chooser(), h("button", { type: "button", text: "CSV", onclick: () => table.save() }));

function arrange() {
  table.show(table.sorted(rows, (a, b) => b.hour_at - a.hour_at || a.route.localeCompare(b.route)));
}

let drawn = "";

function draw({ at_ms, since_at: since, known_since_at: known, routes, hours, rows: found }) {
  learnClock(at_ms);
  const text = JSON.stringify([since, known, routes, hours, found]);
  if (text === drawn) return;
  drawn = text;
  rows = found;
  const names = [...new Set([...routes, chosen.route].filter(Boolean))].sort();
  fill($("#route"), h("option", { value: "", text: "All routes" }), names.map((name) => h("option", { value: name, text: name, selected: name === chosen.route })));
  const byHour = new Map(hours.map((hour) => [hour.hour_at, hour]));
  const all = Array.from({ length: Number(chosen.hours) }, (_, at) => since + at * HOUR_MS).filter((at) => at <= at_ms);
  fill($("#charts"), CHARTS.map(([name, label, write, least, none]) => bars(label, all.map((hour_at) => ({ hour_at, value: byHour.has(hour_at) ? byHour.get(hour_at)[name] : none })), write, least)));
  $("#known").textContent = known ? `Of the calls that are kept, the earliest of ${when(known)}. A call is of the hour in which it began.` : "";
  $("#list").hidden = !rows.length;
  fill($("#none"), rows.length ? null : empty("No calls", "In these hours no call of this route has ended."));
  arrange();
}

for (const name of ["route", "hours"]) {
  $(`#${name}`).value = chosen[name];
  $(`#${name}`).addEventListener("change", ({ target }) => {
    chosen[name] = target.value;
    keep("trends", chosen);
    drawn = "";
    again();
  });
}
key("close", () => document.activeElement.blur());
const again = poll(() => `/trends?hours=${chosen.hours}&route=${encodeURIComponent(chosen.route)}`, 10000, "the trends", draw);
