// How a call's health is shown: a sign, a figure and its reasons; a test holds the bands to bridge/telemetry/health.py.

import { h, icon } from "./dom.js";

const BAD_BELOW = 40;
const WARN_BELOW = 70;

export const band = (score) => (score < BAD_BELOW ? "bad" : score < WARN_BELOW ? "warn" : "good");
const WORDS = { good: "well", warn: "look", bad: "act" };

export function healthMark(score) {
  const kind = band(score);
  return h("span", { class: `health ${kind}` }, icon(kind), String(score), h("span", { class: "visually-hidden", text: ` of 100, ${WORDS[kind]}` }));
}

const STATES = {
  ringing: "info", greeting: "accent", listening: "", thinking: "accent", speaking: "accent", tool: "info",
  recovering: "bad", transferring: "warn", human: "good", handoff: "warn", paused: "warn", bridged: "accent", ended: "",
};

export function stateBadge(state) {
  return h("span", { class: `badge ${STATES[state] ?? ""}`, text: state === "human" ? "with a person" : String(state ?? "").replaceAll("_", " ") });
}
