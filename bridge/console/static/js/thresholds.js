// From where a figure is amber, and from where red: one table for every page, changed by each person.

import { ask } from "./dialogs.js";
import { h, icon } from "./dom.js";
import { keep, kept } from "./prefs.js";

/** name, what it is, unit as people write it, how many of ours make one of that, amber, red, in ours; `low`: less is worse. */
const TABLE = [
  ["waiting", "Waiting", "", 1, 2, 5], ["oldest_wait_ms", "Oldest wait", "s", 1000, 20000, 60000], ["failing", "Failing calls", "", 1, 0, 2],
  ["service_level", "Taken in time", "%", 0.01, 0.8, 0.6, "low"], ["abandoned", "Abandoned", "%", 0.01, 0.05, 0.1], ["containment", "Handled by the AI alone", "%", 0.01, 0.6, 0.4, "low"],
  ["answer_ms", "Time to answer", "s", 1000, 1500, 2500], ["silence_ms", "Silence", "s", 1000, 4000, 8000],
].map(([name, label, unit, scale, warn, bad, low]) => ({ name, label, unit, scale, limit: [warn, bad], low: low === "low" }));

const chosen = kept("thresholds", {});
const limitOf = ({ name, limit }) => chosen[name] ?? limit;

/** Return good, warn or bad; "" for what has no limit or no value. */
export function band(name, value) {
  const row = TABLE.find((each) => each.name === name);
  if (!row || value === null || value === undefined) return "";
  const [warn, bad] = limitOf(row);
  const beyond = (limit) => (row.low ? value < limit : value > limit);
  return beyond(bad) ? "bad" : beyond(warn) ? "warn" : "good";
}

/** Return the limit up to which a figure is as it should be, in words; "" for what has none. */
export function target(name, write) {
  const row = TABLE.find((each) => each.name === name);
  if (!row) return "";
  return `Target: ${row.low ? "at least" : "at most"} ${write(limitOf(row)[0])}`;
}

const SAID = { high: { warn: "high", bad: "too high" }, low: { warn: "low", bad: "too low" } };

/** Return a figure with the sign of its band: no colour stands alone. */
export function marked(name, value, text) {
  const kind = band(name, value);
  if (!(kind in SAID.high)) return text;
  const said = SAID[TABLE.find((row) => row.name === name).low ? "low" : "high"][kind];
  return h("span", { class: `over ${kind}` }, icon(kind), text, h("span", { class: "visually-hidden", text: `, ${said}` }));
}

/** Return a button that changes some of them; `onChange` is called after that. */
export function thresholdsButton(names, onChange) {
  return h("button", { type: "button", text: "Thresholds", onclick: () => change(TABLE.filter(({ name }) => names.includes(name)), onChange) });
}

async function change(rows, onChange) {
  const fields = rows.flatMap((row) => ["amber", "red"].map((colour, at) => ({
    name: `${row.name}.${at}`, label: `${row.label}, ${colour} ${row.low ? "below" : "above"}${row.unit && `, ${row.unit}`}`,
    kind: "number", step: "any", min: 0, value: String(Math.round((limitOf(row)[at] / row.scale) * 100) / 100),
  })));
  const given = await ask({ title: "Thresholds", text: "They are yours, in this browser.", fields, button: "Keep" });
  if (!given) return;
  for (const row of rows) chosen[row.name] = [0, 1].map((at) => given[`${row.name}.${at}`] * row.scale);
  keep("thresholds", chosen);
  onChange();
}
