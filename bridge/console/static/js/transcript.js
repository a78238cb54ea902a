// A call's conversation as it streams: both sides, tools, what happened, supervisors' notes.

import { fill, h, icon } from "./dom.js";
import { clock, span, words } from "./format.js";

const WHO = { caller: "Caller", agent: "Agent", bridge: "Announcement", supervisor: "Supervisor" };

/** What is told in one line, and how: kind of mark, text. */
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
  gave_up: (e) => ["bad", `The AI was given up: ${words(e.reason)}`],
  rescued: (e) => ["warn", `Arm ${e.arm} failed; ${e.by} took over`],
  upstream_error: (e) => ["warn", `AI error: ${words(e.code)}`],
  emergency_heard: (e) => ["bad", `Emergency words: “${e.phrase}”`],
  digits_collected: (e) => ["", `${e.count} digits for ${e.name}${e.sensitive === "1" ? " (secret)" : ""}`],
  menu_chosen: (e) => ["", `Menu ${e.menu}: key ${e.key || "unknown"}`],
  recording_paused: (e) => ["warn", `Recording paused (${e.reason})`],
  recording_resumed: () => ["", "Recording goes on"],
  recording_stopped: (e) => ["bad", `Recording stopped: ${words(e.reason)}`],
  disclosure_spoken: () => ["", "Disclosure spoken"],
  consent_given: () => ["", "Consent given"],
  consent_refused: () => ["warn", "Consent refused"],
  callback_wanted: () => ["", "Caller wants to be called back"],
  one_way_audio: () => ["bad", "Audio flows one way only"],
  silent: () => ["bad", "Caller has heard nothing yet"],
  supervisor_joined: (e) => ["warn", `${e.by ?? "A supervisor"} joined`],
  supervisor_left: (e) => ["", `${e.by ?? "The supervisor"} left`],
  agent_resumed: (e) => ["", `The agent goes on${e.cause === "voice_lost" ? "; the supervisor's microphone was lost" : e.cause === "timeout" ? "; the pause was over" : ""}`],
  ended: (e) => ["", `Call ended: ${words(e.reason || e.outcome)}`],
};

const ACTIONS = {
  accept: "accepted the caller", listen: "listens by phone",   whisper: "whispered to the AI", say: "had the AI say", take_over: "took the caller over", hand_back: "handed the caller back", pause: "paused the AI", resume: "had the AI go on",
  transfer: "transfers the call", end: "ends the call", sensitive: "switched sensitive mode", pause_recording: "switched the recording",
};

/** Who did what: an event's words, or null if it is no note of a supervisor's. */
function noteOf(event) {
  if (event.kind === "flagged") return "flagged this";
  return event.kind === "supervisor_acted" ? (ACTIONS[event.action] ?? words(event.action)) : null;
}

export class Transcript {
  constructor() {
    this.element = h("div", { class: "transcript", role: "log", "aria-live": "polite", "aria-label": "Transcript", tabindex: 0 });
    this.turns = new Map();
    this.tools = [];
    this.listening = null;
  }

  /** Take an event; return whether anything new is to be seen. */
  add(event) {
    // A whisper is told twice: as an item of the session, and with who gave it.
    if (event.kind === "turn") return event.speaker === "supervisor" ? false : this.#turn(event);
    if (event.kind === "tool_called") return this.#toolCalled(event);
    if (event.kind === "tool_ended" || event.kind === "tool_refused") return this.#toolEnded(event);
    if (noteOf(event)) return this.#note(event);
    const told = HAPPENINGS[event.kind];
    if (!told) return false;
    const [kind, text] = told(event);
    this.element.append(h("div", { class: `happening ${kind}` }, kind ? icon(kind) : null, h("span", { text: `${clock(event.at_ms)}  ${text}` })));
    return true;
  }

  #turn(event) {
    const key = `${event.speaker}/${event.item_id ?? event.id}`;
    let turn = this.turns.get(key);
    const isNew = !turn;
    if (isNew) {
      turn = h("div", { class: `turn ${event.speaker}` });
      this.turns.set(key, turn);
      turn.dataset.at = event.at_ms;
      this.element.append(turn);
    }
    turn.classList.toggle("cut", event.interrupted === "1");
    fill(
      turn,
      h("div", { class: "by" }, h("b", { text: WHO[event.speaker] ?? event.speaker }), h("span", { text: clock(Number(turn.dataset.at)) }),
        event.latency_ms ? h("span", { text: `answered in ${span(event.latency_ms)}` }) : null,
        event.interrupted === "1" ? h("span", { text: "cut off by the caller" }) : null),
      h("p", { text: event.text || "…" }),
    );
    return isNew || Boolean(event.text);
  }

  #toolCalled(event) {
    const state = h("span", { class: "muted", text: "running" });
    const body = h("pre", { text: event.arguments ? `arguments: ${event.arguments}` : "arguments are not kept in the event stream" });
    const element = h("details", { class: "tool" }, h("summary", {}, h("span", { class: "mono", text: event.tool }), " ", state), body);
    this.tools.push({ name: event.tool, state, body });
    this.element.append(element);
    return true;
  }

  #toolEnded(event) {
    if (event.kind === "tool_refused") this.#toolCalled(event);
    const at = this.tools.findIndex((tool) => tool.name === event.tool);
    if (at < 0) return false;
    const [{ state, body }] = this.tools.splice(at, 1);
    const ok = event.result === "ok";
    state.className = `badge ${ok ? "good" : "bad"}`;
    fill(state, icon(ok ? "good" : "bad"), ok ? "done" : words(event.result ?? event.reason), event.took_ms ? ` in ${span(event.took_ms)}` : "");
    body.append(`\nat ${clock(event.at_ms)}`, event.took_ms ? `, took ${span(event.took_ms)}` : "", `\nresult: ${event.result ?? event.reason}`, event.output ? `\n${event.output}` : "");
    return true;
  }

  #note(event) {
    this.element.append(h(
      "div",
      { class: "turn supervisor" },
      h("div", { class: "by" }, h("b", { text: event.by ?? "Supervisor" }), h("span", { text: noteOf(event) }), h("span", { text: clock(event.at_ms) }), event.when ? h("span", { text: event.when === "now" ? "applied now" : "for its next turn" }) : null),
      event.text ? h("p", { text: event.text }) : null,
    ));
    return true;
  }
}
