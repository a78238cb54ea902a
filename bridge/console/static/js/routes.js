// Routes, to read: the way from the number to the arm and to what is left if that fails, and the hours.

import { attempt, get } from "./api.js";
import { $, badge, empty, fill, h } from "./dom.js";
import { holidays, week } from "./hours.js";
import { words } from "./format.js";

async function load() {
  const found = await attempt(get("/routes"));
  if (!found) return;
  fill($("#list"), found.routes.length ? h("div", { class: "routes" }, found.routes.map(card)) : empty("No routes", "There is no dialplan that concerns you."));
}

const listed = (value) => (Array.isArray(value) ? value.join(" or ") : String(value));

/** Return one of a route's rules in words: all of it holds for a call that is taken. */
function rule(conditions) {
  const { called = "*", caller = [], headers = {}, trunk = [], stir = [], when } = conditions;
  return [
    called === "*" ? "any number" : called,
    listed(caller) && `from ${listed(caller)}`,
    listed(trunk) && `by the trunk ${listed(trunk)}`,
    listed(stir) && `with caller ID check ${listed(stir)}`,
    ...Object.entries(headers).map(([name, value]) => `with ${name}: ${value}`),
    when && `while ${when.is ?? "open"} (${(when.open ?? []).map((each) => `${listed(each.days)} ${each.from ?? "00:00"} to ${each.to ?? "24:00"}`).join(", ") || "always"}, ${when.time_zone})`,
  ].filter(Boolean).join(", ");
}

const ENDS = { hang_up: "the call ends", transfer: "the call goes to", callback: "the AI takes down whom to call back", agent: "the AI answers with other instructions" };

/** Return what callers get where the AI does not answer as ever. */
function otherwise({ say, then = "hang_up", to, before_answer }) {
  return [
    before_answer === "reject" ? "Before the answer: refused, so that the carrier tries another way." : null,
    say ? `They hear “${say}”.` : null,
    `Then ${ENDS[then] ?? words(then)}${then === "transfer" ? ` ${to}` : ""}.`,
  ].filter(Boolean).join(" ");
}

const step = (title, kind, ...content) => h("li", { class: `step ${kind}` }, h("h3", { text: title }), ...content.filter(Boolean).map((each) => (each instanceof Node ? each : h("p", { text: each }))));

function way(route) {
  const targets = Object.entries(route.handoff?.targets ?? {});
  return h("ol", { class: "way", "aria-label": `The way of a call on ${route.name}` },
    step("Number", "", h("ul", {}, (route.match ?? []).map((each) => h("li", { text: rule(each) })))),
    step(route.rollout ? "Rollout" : "Arm", "arm-step", h("p", {}, h("b", { text: route.rollout ?? route.arm })), route.greeting ? `“${route.greeting}”` : "Waits for the caller to speak."),
    targets.length ? step("People", "", h("ul", {}, targets.map(([name, { to, mode }]) => h("li", {}, h("b", { text: name }), ` ${to}, ${mode === "warm" ? "asked first" : "sent there"}`)))) : null,
    step("If the AI fails", "last", otherwise(route.fallback ?? {})));
}

function hours(route) {
  if (!route.week) return h("p", { text: "Always open." });
  return h("div", { class: "stack" }, week(route.week, route.hours.time_zone), holidays(route.holidays), h("p", {}, h("b", { text: "While closed: " }), otherwise({ ...route.hours.closed, before_answer: null })));
}

function card(route) {
  const facts = [
    ["Language", route.language], ["Tools", (route.tools ?? []).join(", ")],
    ["Told about AI and recording", route.consent?.disclosure ?? "nothing"], ["Text's version", route.consent_version],
    ["Recording", route.recording?.enabled ? "on" : "off"], ["Kept, days", Object.entries(route.recording?.keep_days ?? {}).map(([what, days]) => `${words(what)} ${days}`).join(", ")], ["Longest call", route.limits?.max_call_s && `${Math.round(route.limits.max_call_s / 60)} minutes`], ["Calls at once", route.limits?.max_calls],
  ];
  return h("section", { class: "card stack", "aria-label": route.name },
    h("div", { class: "spread" }, h("h2", { text: route.name }), badge(route.now === "open" ? "good" : "warn", route.now, route.now === "open" ? "good" : "warn")),
    way(route), hours(route),
    h("dl", { class: "facts" }, facts.filter(([, v]) => v).map(([n, v]) => [h("dt", { text: n }), h("dd", { text: String(v) })])));
}

load();
