// The figures of the floor, large; a breach is said once, and heard if somebody wants that.

import { may } from "./api.js";
import { $, fill, h } from "./dom.js";
import { clock, percent } from "./format.js";
import { keep, kept } from "./prefs.js";
import { poll } from "./poll.js";
import { spark } from "./spark.js";
import { band, target, thresholdsButton } from "./thresholds.js";

const TILES = [
  ["waiting", "Waiting", String, "/queue"], ["oldest_wait_ms", "Oldest wait", clock, "/queue"], ["failing", "Failing calls", String, "/calls?health=bad"], ["active_ai", "With the AI", String, "/calls"],
  ["active_human", "With a person", String, "/calls?state=human"], ["service_level", "Taken in time", percent, "/history"], ["abandoned", "Abandoned", percent, "/history?text=caller_left"], ["containment", "Handled by the AI alone", percent, "/history"], ["ended_last_hour", "Calls ended, last hour", String, "/history"],
];
const WORDS = { good: "✓ as it should be", warn: "▲ watch", bad: "◆ act now", "": "" };
const LOST = "? not known";
let breaching = new Set();

/** Show figures; null: they do not come any more, and what they were says nothing. */
function draw(figures) {
  const wall = $("#wall");
  if (!wall.children.length) {
    for (const [name, label, , href] of TILES) {
      // A figure leads to its calls, where those are for whoever looks.
      const opens = may(href.startsWith("/history") ? "history.view" : href === "/queue" ? "queue.view" : "calls.view");
      wall.append(h(opens ? "a" : "div", { class: "tile", href: opens ? href : null, id: `wall-${name}` }, h("span", { class: "label", text: label }), h("span", { class: "value" }), h("span", { class: "trend" }), h("span", { class: "under" }, h("span", { class: "mark" }), h("span", { class: "target" }))));
    }
  }
  const now = new Set();
  for (const [name, label, write] of TILES) {
    const figure = figures?.[name];
    const kind = band(name, figure);
    const tile = $(`#wall-${name}`);
    tile.className = `tile ${kind}`;
    tile.querySelector(".value").textContent = figure === null || figure === undefined ? "–" : write(figure);
    tile.querySelector(".mark").textContent = figures ? WORDS[kind] : LOST;
    tile.querySelector(".target").textContent = target(name, write);
    if (figures) fill(tile.querySelector(".trend"), spark(figures.hours?.map((hour) => hour[name]), figures.at_ms, write));
    if (kind === "bad") now.add(label);
  }
  const fresh = [...now].filter((label) => !breaching.has(label));
  if (fresh.length || now.size !== breaching.size) fill($("#breaches"), now.size ? h("div", { class: "notice bad", text: `Over the limit: ${[...now].join(", ")}` }) : null);
  if (fresh.length && $("#sound").checked) beep();
  breaching = now;
}

function beep() {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const gain = context.createGain();
  gain.gain.value = 0.2;
  tone.frequency.value = 880;
  tone.connect(gain).connect(context.destination);
  tone.start();
  tone.stop(context.currentTime + 0.25);
  tone.onended = () => context.close();
}

$("#full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()));
$("#sound").checked = kept("wall.sound", false);
$("#sound").addEventListener("change", (event) => keep("wall.sound", event.target.checked));
$("#thresholds").append(thresholdsButton(TILES.map(([name]) => name), () => again()));
const again = poll("/wallboard", 2000, "the figures", draw, () => draw(null));
