// The figures of the floor, large; a breach is said once, and heard if somebody wants that.

import { $, fill, h } from "./dom.js";
import { ask } from "./dialogs.js";
import { clock, percent } from "./format.js";
import { keep, kept } from "./prefs.js";
import { poll } from "./poll.js";

const limits = kept("wall.limits", { waiting: [2, 5], oldest_wait_ms: [20000, 60000], failing: [0, 2], abandoned: [0.05, 0.1], service_level: [0.8, 0.6], containment: [0.6, 0.4] });
const LOW = new Set(["service_level", "containment"]);
const TILES = [
  ["waiting", "Waiting", String, "/queue"], ["oldest_wait_ms", "Oldest wait", clock, "/queue"], ["failing", "Failing calls", String, "/calls"], ["active_ai", "With the AI", String, "/calls"],
  ["active_human", "With a person", String, "/calls"], ["service_level", "Taken in time", percent, "/history"], ["abandoned", "Abandoned", percent, "/history"], ["containment", "Handled by the AI alone", percent, "/history"], ["ended_last_hour", "Calls ended, last hour", String, "/history"],
];
const WORDS = { good: "✓ as it should be", warn: "▲ watch", bad: "◆ act now", "": "" };
let breaching = new Set();

function band(name, value) {
  const limit = limits[name];
  if (!limit || value === null || value === undefined) return "";
  const [warn, bad] = limit;
  return LOW.has(name) ? (value < bad ? "bad" : value < warn ? "warn" : "good") : value > bad ? "bad" : value > warn ? "warn" : "good";
}

function draw(figures) {
  const wall = $("#wall");
  if (!wall.children.length) {
    for (const [name, label, , href] of TILES) {
      wall.append(h("a", { class: "tile", href, id: `wall-${name}` }, h("span", { class: "label", text: label }), h("span", { class: "value" }), h("span", { class: "mark" })));
    }
  }
  const now = new Set();
  for (const [name, label, write] of TILES) {
    const kind = band(name, figures[name]);
    const tile = $(`#wall-${name}`);
    tile.className = `tile ${kind}`;
    tile.querySelector(".value").textContent = figures[name] === null ? "–" : write(figures[name]);
    tile.querySelector(".mark").textContent = WORDS[kind];
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
$("#thresholds").addEventListener("click", async () => {
  const scale = (name) => (name.endsWith("_ms") ? 1000 : ["abandoned", "service_level", "containment"].includes(name) ? 0.01 : 1);
  const unit = (name) => (name.endsWith("_ms") ? ", seconds" : scale(name) === 0.01 ? ", %" : "");
  const named = TILES.filter(([name]) => limits[name]);
  const fields = named.flatMap(([name, label]) => ["amber", "red"].map((colour, at) => ({ name: `${name}.${at}`, label: `${label}, ${colour} ${LOW.has(name) ? "below" : "above"}${unit(name)}`, kind: "number", step: "any", value: String(Math.round((limits[name][at] / scale(name)) * 100) / 100) })));
  const given = await ask({ title: "Thresholds of this browser", fields, button: "Keep" });
  if (!given) return;
  for (const [name] of named) limits[name] = [0, 1].map((at) => given[`${name}.${at}`] * scale(name));
  keep("wall.limits", limits);
  again();
});
const again = poll("/wallboard", 2000, draw);
