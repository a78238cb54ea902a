// Where the time of each answer went: one bar a turn, its stages in order.

import { fill, h } from "./dom.js";
import { clock, span } from "./format.js";

const STAGES = [
  ["capture", "caller's sound to us"], ["uplink", "to the AI"], ["endpoint", "end of turn heard"], ["model", "answer begun"],
  ["tool", "tool"], ["first_delta", "first audio"], ["downlink", "to the line"], ["playback", "heard"],
];

export class Waterfall {
  constructor() {
    this.turns = [];
    this.bars = h("div", { class: "waterfall" });
    this.element = h("div", { class: "stack" },
      h("p", { class: "small muted", text: "From the caller's last sound to the agent's first, stage by stage." }),
      h("div", { class: "legend" }, STAGES.map(([name, text]) => h("span", {}, h("i", { class: `s-${name}` }), `${name.replace("_", " ")}: ${text}`))),
      this.bars);
  }

  /** Take a `measured` event or a turn of a record. */
  add({ at_ms, stages, response_ms }) {
    this.turns.push({ at_ms, stages, response_ms });
    this.draw();
  }

  addEvent(event) {
    const stages = Object.fromEntries(STAGES.map(([name]) => [name, Number(event[`${name}_ms`] ?? 0)]));
    this.add({ at_ms: event.at_ms, stages, response_ms: event.response_ms ? Number(event.response_ms) : null });
  }

  draw() {
    const sum = (turn) => turn.response_ms ?? Object.values(turn.stages).reduce((a, b) => a + b, 0);
    const most = Math.max(1000, ...this.turns.map(sum));
    fill(this.bars, this.turns.map((turn) => {
      const bar = h("div", { class: "bar", role: "img", "aria-label": STAGES.filter(([n]) => turn.stages[n] > 0).map(([n]) => `${n.replace("_", " ")} ${span(turn.stages[n])}`).join(", ") || "not measured" });
      for (const [name, text] of STAGES) {
        const ms = turn.stages[name];
        if (!(ms > 0)) continue;
        const part = h("span", { class: `s-${name}`, title: `${name}: ${text}, ${span(ms)}` });
        part.style.width = `${(100 * ms) / most}%`;
        bar.append(part);
      }
      return h("div", { class: "turn-row" }, h("span", { class: "muted", text: clock(turn.at_ms) }), bar, h("b", { class: "number", text: span(sum(turn)) }));
    }));
  }
}
