// A recording: two lanes, markers, and a player. The sound itself comes in Range requests.

import { attempt, get } from "./api.js";
import { fill, h } from "./dom.js";
import { clock, words } from "./format.js";

const MARKED = {
  interrupted: "bad", tool_called: "tool", tool_ended: "tool", dead_air: "warn", session_lost: "bad", handoff_started: "info", handoff_accepted: "info",
  digit: "info", flagged: "warn", supervisor_joined: "warn", supervisor_left: "warn", recording_paused: "warn", recording_resumed: "warn", emergency_heard: "bad",
  human_asked: "info", ended: "", menu_chosen: "info", digits_collected: "info",
};

export class Waveform {
  constructor(callId) {
    this.callId = callId;
    this.audio = h("audio", { controls: true, preload: "metadata", src: `/api/v1/calls/${callId}/recording` });
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.cursor = h("div", { class: "cursor" });
    this.wave = h("div", { class: "wave", onclick: (event) => this.#seek(event) }, this.canvas, this.cursor);
    this.markers = h("div", { class: "markers", role: "group", "aria-label": "Moments of the call" });
    this.element = h("section", { class: "card player", "aria-label": "Recording" },
      h("div", { class: "spread" }, h("h2", { text: "Recording" }), h("div", { class: "legend" }, h("span", { text: "Above: caller. Below: agent. Click to play from there." }))),
      this.wave, this.audio, this.markers);
    this.audio.addEventListener("timeupdate", () => this.#follow());
    new ResizeObserver(() => this.#draw()).observe(this.wave);
    new MutationObserver(() => this.#draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  async load() {
    const found = await attempt(get(`/calls/${this.callId}/outline?width=1200`));
    if (!found) return;
    this.outline = found;
    const moments = found.markers.filter((marker) => marker.kind in MARKED);
    fill(this.markers, moments.map((marker) => h("button", { type: "button", onclick: () => this.play(marker.at_ms) }, h("b", { text: clock(marker.at_ms) }), ` ${words(marker.kind)}${marker.tool ? ` ${marker.tool}` : ""}`)));
    this.#draw();
  }

  play(at_ms) {
    this.audio.currentTime = at_ms / 1000;
    this.audio.play().catch(() => {});
    this.#follow();
  }

  #seek(event) {
    if (!this.outline) return;
    const box = this.wave.getBoundingClientRect();
    this.play(((event.clientX - box.left) / box.width) * this.outline.duration_ms);
  }

  #follow() {
    if (this.outline) this.cursor.style.left = `${(100 * this.audio.currentTime * 1000) / this.outline.duration_ms}%`;
  }

  #draw() {
    if (!this.outline) return;
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
    const [width, height] = [this.wave.clientWidth, this.wave.clientHeight];
    const ratio = devicePixelRatio;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const draw = this.canvas.getContext("2d");
    draw.scale(ratio, ratio);
    [["caller", "--caller", 0.25], ["agent", "--agent", 0.75]].forEach(([lane, name, middle]) => {
      const values = this.outline[lane];
      draw.fillStyle = colour("--line");
      draw.fillRect(0, height * middle, width, 1);
      draw.fillStyle = colour(name);
      const step = width / values.length;
      values.forEach((value, at) => {
        const tall = Math.max(1, Math.sqrt(value) * height * 0.46);
        draw.fillRect(at * step, height * middle - tall / 2, Math.max(step, 1), tall);
      });
    });
    for (const marker of this.outline.markers) {
      if (!(marker.kind in MARKED)) continue;
      draw.fillStyle = colour(marker.kind === "interrupted" || MARKED[marker.kind] === "bad" ? "--bad" : "--warn");
      draw.fillRect((marker.at_ms / this.outline.duration_ms) * width, 0, 1.5, height);
    }
  }
}
