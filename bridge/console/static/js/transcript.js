// A call's conversation as it streams: both sides, tools, what happened, supervisors' notes.

import { fill, h, icon } from "./dom.js";
import { clock, span, words } from "./format.js";
import { happening, noteOf } from "./sentences.js";

const WHO = { caller: "Caller", agent: "Agent", bridge: "Announcement", supervisor: "Supervisor" };

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
    const told = happening(event);
    if (!told) return false;
    const [kind, text] = told;
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
