// What `bridge replay` found: the latest run, the trend of each script, and what was broken.

import { attempt, get } from "./api.js";
import { $, badge, empty, fill, h } from "./dom.js";
import { when, words } from "./format.js";

const KIND = { pass: "good", fail: "bad", inconclusive: "warn", infrastructure: "warn" };
const mark = (verdict) => badge(KIND[verdict] ?? "", verdict, KIND[verdict]);
const list = $("#list");

async function load() {
  const found = await attempt(get("/replays"));
  if (!found) return;
  const runs = found.replays;
  if (!runs.length) { fill(list, empty("No results yet", "`bridge replay --report` writes them; the setting console.replays_dir says where.")); return; }
  const detail = h("div", { class: "stack" });
  fill(list, h("div", { class: "stack" }, trend(runs), h("section", { class: "card", "aria-label": "Runs" }, h("h2", { text: "Runs" }), h("div", { class: "table-box" }, h("table", { class: "plain" },
    h("thead", {}, h("tr", {}, ["When", "Arms", "Pass", "Fail", "Unsure", "Commit", ""].map((t) => h("th", { scope: "col", text: t || "Open" })))),
    h("tbody", {}, runs.map((run) => h("tr", {}, h("td", { class: "nowrap", text: when(Date.parse(run.started_at)) }), h("td", { text: (run.arms ?? []).map((arm) => `${arm.name} (${arm.kind})`).join(", ") }), h("td", { text: run.counts.pass }), h("td", {}, run.counts.fail ? badge("bad", String(run.counts.fail), "bad") : "0"), h("td", { text: run.counts.inconclusive + run.counts.infrastructure }), h("td", { class: "mono", text: String(run.commit ?? "").slice(0, 8) }), h("td", {}, h("button", { type: "button", text: "Open", "aria-label": `Open the run of ${when(Date.parse(run.started_at))}`, onclick: () => open(run.name, detail) })))))))), detail));
  open(runs[0].name, detail);
}

function trend(runs) {
  const scripts = new Map();
  for (const run of [...runs].reverse()) {
    for (const row of run.table ?? []) {
      const key = `${row.script} on ${row.arm}`;
      if (!scripts.has(key)) scripts.set(key, []);
      scripts.get(key).push(row);
    }
  }
  return h("section", { class: "card", "aria-label": "Trend" }, h("h2", { text: "Trend of each script, oldest to newest" }), h("div", { class: "cards" }, [...scripts].map(([name, rows]) => {
    const spark = h("div", { class: "spark", role: "img", "aria-label": rows.map((row) => row.verdict).join(", ") }, rows.slice(-20).map((row) => {
      const bar = h("span", { class: row.verdict === "pass" ? "" : row.verdict === "fail" ? "fail" : "unsure", title: row.verdict });
      const decided = row.passes + row.fails;
      bar.style.height = `${Math.max(10, decided ? (100 * row.passes) / decided : 10)}%`;
      return bar;
    }));
    return h("div", {}, h("div", { class: "spread" }, h("b", { class: "small", text: name }), mark(rows.at(-1).verdict)), spark);
  })));
}

async function open(name, box) {
  const run = await attempt(get(`/replays/${encodeURIComponent(name)}`));
  if (!run) return;
  const broken = run.runs.filter((each) => each.verdict !== "pass");
  fill(box, h("section", { class: "card", "aria-label": "This run" }, h("h2", { text: `Run of ${when(Date.parse(run.started_at))}` }), h("div", { class: "table-box" }, h("table", { class: "plain" },
    h("thead", {}, h("tr", {}, ["Script", "Arm", "Verdict", "Passes", "Fails", "Unsure"].map((t) => h("th", { scope: "col", text: t })))),
    h("tbody", {}, run.table.map((row) => h("tr", {}, h("td", { text: row.script }), h("td", { text: row.arm }), h("td", {}, mark(row.verdict)), h("td", { text: row.passes }), h("td", { text: row.fails }), h("td", { text: row.inconclusive + row.infrastructure }))))))),
  broken.length ? h("section", { class: "card", "aria-label": "What was broken" }, h("h2", { text: "What was broken" }), h("ul", { class: "stack" }, broken.map((each) => h("li", {}, h("p", {}, mark(each.verdict), ` ${each.script} on ${each.arm}, run ${each.number}: ${words(each.reason)}`), h("ul", {}, (each.broken ?? []).slice(0, 5).map((check) => h("li", { class: "small muted", text: `${check.step ? `step ${check.step}: ` : ""}${words(check.kind)}: expected ${JSON.stringify(check.expected)}, found ${JSON.stringify(check.found)}` }))))))) : null);
}

load();
