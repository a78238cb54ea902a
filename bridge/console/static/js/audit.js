import { attempt, get } from "./api.js";
import { $, $$, fill, h } from "./dom.js";
import { filled, folding } from "./fold.js";
import { moment, words, zone } from "./format.js";

const form = $("#filter");
const entries = $("#entries");
let before = "";
const tellFilters = folding(() => filled(form, "actor"));

function wanted() {
  const query = new URLSearchParams();
  for (const name of ["actor", "action", "target", "call_id"]) {
    const value = form.elements[name].value.trim();
    if (value) query.set(name, value);
  }
  for (const name of ["since", "until"]) {
    const value = form.elements[name].value;
    if (value) query.set(`${name}_ms`, String(new Date(value).getTime()));
  }
  return query;
}

/** Return an entry's details in words: what was asked with, and what a change made of what. */
function told(detail) {
  const write = (value) => {
    if (typeof value === "string") { try { return write(JSON.parse(value)); } catch { return value; } }
    return value !== null && typeof value === "object" ? list(value) : String(value);
  };
  const list = (about) => Object.entries(about).map(([name, value]) => `${words(name)}: ${name === "diff" ? Object.entries(value).filter(([what]) => !what.endsWith("_ms")).map(([what, [was, is]]) => `${words(what)} ${write(was) || "nothing"} → ${write(is) || "nothing"}`).join(", ") : Array.isArray(value) ? value.map(write).join(", ") : write(value)}`).join("; ");
  try {
    const about = JSON.parse(detail);
    return about !== null && typeof about === "object" ? list(about) : detail;
  } catch { return detail; }
}

function row(entry) {
  const at_ms = Number(entry.at_ms);
  const cell = (label, text, more = {}) => h("td", { "data-label": label, text: text ?? "", ...more });
  const who = [entry.actor || "nobody known", entry.roles ? `(${entry.roles})` : "", entry.address ?? ""];
  return h(
    "tr", {},
    h("td", { "data-label": "Time", class: "nowrap" }, h("time", { datetime: new Date(at_ms).toISOString(), text: moment(at_ms) })),
    cell("Who", who.filter(Boolean).join(" ")),
    cell("Action", entry.action),
    cell("Target", entry.target),
    cell("Call", entry.call_id),
    cell("Result", entry.result),
    cell("Details", told(entry.detail), { class: "details wide" }),
  );
}

async function load(more) {
  tellFilters();
  const query = wanted();
  for (const [id, format] of [["#as-csv", "csv"], ["#as-jsonl", "jsonl"]]) {
    $(id).href = `/api/v1/audit/export?format=${format}&${query}`;
  }
  if (more) query.set("before", before);
  const page = await attempt(get(`/audit?${query}`));
  if (!page) return;
  const rows = page.entries.map(row);
  if (more) entries.append(...rows);
  else fill(entries, rows);
  before = page.before;
  $("#more").hidden = !before;
  $("#none").hidden = entries.childElementCount > 0;
}

form.addEventListener("submit", (event) => { event.preventDefault(); load(false); });
$("#more").addEventListener("click", () => load(true));
$("#verify").addEventListener("click", async () => {
  const found = await attempt(get("/audit/verify"));
  if (!found) return;
  const verdict = $("#verdict");
  verdict.hidden = false;
  verdict.classList.toggle("bad", Boolean(found.broken_at));
  verdict.textContent = found.broken_at
    ? `The chain is broken at entry ${found.broken_at}: ${found.why}.`
    : `The chain holds: ${found.entries} entries, the last hash is ${found.newest}`;
});

for (const each of $$(".zone")) each.textContent = `, ${zone()}`;
load(false);
