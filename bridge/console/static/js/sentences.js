// What happened in a call, in sentences: for the transcript as it streams, and for a call that is over.

import { VERBS } from "./api.js";
import { span, words } from "./format.js";

/** What a transcript tells in one line, and how: kind of mark, text. */
const HAPPENINGS = {
  interrupted: (e) => ["", `Caller cut in; ${span(e.played_ms)} of the answer were heard`],
  dead_air: (e) => ["warn", `Silence of ${span(e.silence_ms)}, waiting for the ${e.cause}`],
  caller_silent: () => ["warn", "Caller does not answer"],
  human_asked: (e) => ["warn", e.granted === "1" ? "Caller asked for a person" : "Caller asked for a person; nobody is to be had"],
  handoff_started: (e) => ["warn", `Transfer to ${e.target} begins`],
  handoff_accepted: () => ["", "A person has taken the call"],
  handoff_completed: () => ["", "Transfer completed"],
  handoff_failed: (e) => ["bad", `Transfer failed: ${words(e.reason)}`],
  handed_back: () => ["", "Back with the agent"],
  session_lost: (e) => ["bad", `AI session lost: ${words(e.code)} (${e.fault})`],
  session_restored: (e) => ["", `AI session back after ${span(e.outage_ms)}`],
  agent_reached: (e) => ["", e.way === "blind" ? "The caller was sent to the vendor's agent; the rest is not seen" : `The vendor's agent has the call after ${span(e.took_ms)}`],
  agent_heard: () => ["", "The vendor's agent is heard"],
  gave_up: (e) => ["bad", `The AI was given up: ${words(e.reason)}`],
  rescued: (e) => ["warn", `Arm ${e.arm} failed; ${e.by} took over`],
  upstream_error: (e) => ["warn", `AI error: ${words(e.code)}`],
  emergency_heard: (e) => ["bad", `Emergency words: “${e.phrase}”`],
  digits_collected: (e) => ["", `${e.count} digits for ${e.name}${e.sensitive === "1" ? " (secret)" : ""}`],
  menu_chosen: (e) => ["", `Menu ${e.menu}: key ${e.key || "unknown"}`],
  recording_paused: (e) => ["warn", `Recording paused (${e.reason})`],
  recording_resumed: () => ["", "Recording goes on"],
  recording_stopped: (e) => ["bad", `Recording stopped: ${words(e.reason)}`],
  disclosure_spoken: () => ["", "The disclosure was spoken"],
  consent_given: () => ["", "Consent given"],
  consent_refused: () => ["warn", "Consent refused"],
  callback_wanted: () => ["", "Caller wants to be called back"],
  one_way_audio: () => ["bad", "Audio flows one way only"],
  silent: () => ["bad", "Caller has heard nothing yet"],
  picture_shown: (e) => ["", `The AI was shown a picture of ${e.width_px} by ${e.height_px} pixels${e.tool ? `, from the tool ${e.tool}` : ""}`],
  supervisor_joined: (e) => ["warn", `${e.by ?? "A supervisor"} joined`],
  supervisor_left: (e) => ["", `${e.by ?? "The supervisor"} left`],
  agent_resumed: (e) => ["", `The agent goes on${e.cause === "voice_lost" ? "; the supervisor's microphone was lost" : e.cause === "timeout" ? "; the pause was over" : ""}`],
  ended: (e) => ["", `Call ended: ${words(e.reason || e.outcome)}`],
};

/** Who did what: an event's words, or null if it is no note of a supervisor's. */
export function noteOf(event) {
  if (event.kind === "flagged") return VERBS.flag.done;
  return event.kind === "supervisor_acted" ? (VERBS[event.action]?.done ?? words(event.action)) : null;
}

const heard = (e) => (e.heard_ms ? `, of which ${span(e.heard_ms)} were heard` : "");
const JUDGED = {
  true: "The caller had something to say", false: "The caller had nothing to say: the agent goes on", backchannel: "The caller only agreed: the agent goes on", missed: "The caller spoke and was not noticed",
};
const SPEAKERS = { caller: "The caller", agent: "The agent", bridge: "The bridge", supervisor: "A supervisor" };

/** What is told of a call that is over and not in a transcript, which shows it otherwise or not at all. */
const DETAILS = {
  turn: (e) => `${SPEAKERS[e.speaker] ?? words(e.speaker)} said: “${e.text || "…"}”${heard(e)}`,
  measured: (e) => (e.response_ms ? `The agent answered after ${span(e.response_ms)}` : "An answer was measured"),
  greeted: () => "The caller was greeted",
  tool_called: (e) => `The agent asked the tool ${e.tool}`,
  tool_ended: (e) => `The tool ${e.tool} ${e.result === "ok" ? "answered" : `failed (${words(e.result ?? e.reason)})`}${e.took_ms ? ` after ${span(e.took_ms)}` : ""}`,
  tool_refused: (e) => `The tool ${e.tool} was not asked: ${words(e.reason ?? e.result)}`,
  tools_not_listed: (e) => `The tool server ${e.server ?? ""} did not list its tools`,
  phase: (e) => `The call went from ${words(e.old) || "nothing"} to ${words(e.new)}${e.cause ? `: ${words(e.cause)}` : ""}`,
  agent_cut: (e) => `The agent's words were cut after ${span(e.played_ms)}`,
  agent_interrupted: () => "The agent cut in on the caller",
  agent_yielded: () => "The agent gave way to the caller",
  interruption_judged: (e) => JUDGED[e.judged_as] ?? `The caller's sound was judged as ${words(e.judged_as)}`,
  filler: () => "The caller heard that they are not forgotten",
  phrase: () => "The bridge spoke by its own voice",
  digit: () => "The caller pressed a key",
  caller_held: () => "The caller's phone put the call on hold",
  caller_resumed: () => "The caller is back from hold",
  tool_arguments: (e) => `The tool was asked with ${e.text}`,
  tool_result: (e) => `The tool's answer was ${e.text}`,
  caller_replaced: () => "Another phone has taken the caller's place",
  no_telephone_event: () => "The caller's phone sends no keys",
  model_taken: (e) => `The model ${e.model} has the call`,
  wrapped_up: (e) => `${e.by ?? "A person"} ${VERBS.wrap_up.done}: ${words(e.code)}${e.text ? `, “${e.text}”` : ""}`,
  audio_stopped: (e) => `The gateway's audio has stood still for ${span(e.ms)}: it ends the call`,
  process_stopped: (e) => `The gateway stood still for ${span(e.ms)}, and the call with it`,
  phone_joined: (e) => `${e.by ?? "A supervisor"} ${VERBS.listen.done}`,
};

/** Return how a transcript tells of an event, kind of mark and text; null where it doesn't. */
export function happening(event) {
  return HAPPENINGS[event.kind]?.(event) ?? null;
}

const given = (event) => Object.entries(event).filter(([name, value]) => value !== "" && !SILENT.has(name)).map(([name, value]) => `${words(name)} ${value}`).join(", ");
const SILENT = new Set(["id", "at_ms", "kind", "item_id", "session_id", "by"]);
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Return an event as a sentence; of a kind that is not known here, its name and what it came with. */
export function sentence(event) {
  const note = noteOf(event);
  if (note) return `${event.by ?? "A supervisor"} ${note}${event.text ? `: “${event.text}”` : ""}${event.note ? `: “${event.note}”` : ""}.`;
  const told = DETAILS[event.kind]?.(event) ?? happening(event)?.[1];
  if (told) return `${told}.`;
  const more = given(event);
  return `${capital(words(event.kind))}${more ? ` (${more})` : ""}.`;
}
