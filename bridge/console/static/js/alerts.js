// What somebody has to see to: open first, then acknowledged, then over.

import { attempt, may, post } from "./api.js";
import { ask } from "./dialogs.js";
import { $, badge, empty, fill, h } from "./dom.js";
import { when, words } from "./format.js";
import { poll } from "./poll.js";

const ORDER = { open: 0, acknowledged: 1, resolved: 2 };
const MARKS = { open: ["bad", "open", "bad"], acknowledged: ["warn", "seen to", "warn"], resolved: ["good", "over", "good"] };
let drawn = "";

function draw({ alerts, open }) {
  const text = JSON.stringify(alerts);
  if (text === drawn) return;
  drawn = text;
  const rows = [...alerts].sort((a, b) => ORDER[a.state] - ORDER[b.state] || b.at_ms - a.at_ms);
  fill($("#list"), h("div", { class: "stack" }, h("p", { class: "muted", role: "status", text: open ? `${open} open` : "Nothing is open." }),
    rows.length ? h("ul", {}, rows.map(item)) : empty("No alerts", "Emergencies and breaches appear here.")));
}

function item(alert) {
  const [kind, text, sign] = MARKS[alert.state];
  return h("li", { class: "card item" },
    h("div", { class: "spread" }, h("h2", { text: words(alert.kind) }), h("span", {}, badge(kind, text, sign))),
    h("p", { text: [alert.phrase && `“${alert.phrase}”`, alert.route && `route ${alert.route}`, when(alert.at_ms)].filter(Boolean).join(", ") }),
    alert.acknowledged ? h("p", { class: "muted", text: `Seen to by ${alert.acknowledged.by}, ${when(alert.acknowledged.at_ms)}${alert.acknowledged.note ? `: ${alert.acknowledged.note}` : ""}` }) : null,
    h("div", { class: "toolbar" },
      alert.state === "open" && may("alerts.acknowledge") ? h("button", { type: "button", class: "primary", text: "I see to it", onclick: () => acknowledge(alert) }) : null,
      alert.call_id ? h("a", { class: "button", href: alert.call_live ? `/calls#${alert.call_id}` : `/history/${alert.call_id}`, text: alert.call_live ? "Open the call" : "Open its history" }) : null));
}

async function acknowledge(alert) {
  const given = await ask({ title: "See to this alert", fields: [{ name: "note", label: "Note", maxlength: 500 }], button: "I see to it" });
  if (given && await attempt(post(`/alerts/${alert.id}/acknowledge`, given))) { drawn = ""; again(); }
}

const again = poll("/alerts", 3000, "alerts", draw);
