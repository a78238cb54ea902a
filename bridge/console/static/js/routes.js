// Routes, to read: whom they take, their arm, their hours, what callers are told.

import { attempt, get } from "./api.js";
import { $, badge, empty, fill, h } from "./dom.js";
import { words } from "./format.js";

function write(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(write).filter(Boolean).join("; ");
  if (typeof value === "object") return Object.entries(value).map(([k, v]) => [words(k), write(v)]).filter(([, text]) => text).map(([k, text]) => `${k}: ${text}`).join(", ");
  return String(value);
}

async function load() {
  const found = await attempt(get("/routes"));
  if (!found) return;
  fill($("#list"), found.routes.length ? h("div", { class: "cards" }, found.routes.map(card)) : empty("No routes", "There is no dialplan that concerns you."));
}

function card(route) {
  const disclosure = route.consent?.disclosure;
  const facts = [
    ["Takes", write(route.match)], ["Arm", route.rollout ? `rollout ${route.rollout}` : route.arm], ["Language", route.language], ["Greeting", route.greeting], ["Tools", (route.tools ?? []).join(", ")],
    ["Hours", route.hours ? write(route.hours) : "always open"], ["Told about AI and recording", disclosure ? write(disclosure) : "nothing"], ["Text's version", route.consent_version],
    ["Recording", write(route.recording)], ["Transfers to", write(route.handoff?.targets)], ["If the AI fails", write(route.fallback)], ["Limits", write(route.limits)],
  ];
  return h("section", { class: "card", "aria-label": route.name }, h("div", { class: "spread" }, h("h2", { text: route.name }), badge(route.now === "open" ? "good" : "warn", route.now, route.now === "open" ? "good" : "warn")),
    h("dl", { class: "facts" }, facts.filter(([, v]) => v).map(([n, v]) => [h("dt", { text: n }), h("dd", { text: v })])));
}

load();
