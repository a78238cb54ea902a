// How a call's health is shown: a sign, a figure and its reasons; bands as in bridge/telemetry/health.py.

import { h, icon } from "./dom.js";

export const band = (score) => (score < 40 ? "bad" : score < 70 ? "warn" : "good");
const WORDS = { good: "well", warn: "look", bad: "act" };

export function healthMark(score) {
  const kind = band(score);
  return h("span", { class: `health ${kind}` }, icon(kind), String(score), h("span", { class: "visually-hidden", text: ` of 100, ${WORDS[kind]}` }));
}

const STATES = {
  ringing: "info", greeting: "accent", listening: "", thinking: "accent", speaking: "accent", tool: "info",
  recovering: "bad", transferring: "warn", human: "good", handoff: "warn", paused: "warn", ended: "",
};

export function stateBadge(state) {
  return h("span", { class: `badge ${STATES[state] ?? ""}`, text: state === "human" ? "with a person" : String(state ?? "").replaceAll("_", " ") });
}
