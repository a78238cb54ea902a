// A figure's last hours as a line: how it came to where it is.

import { h, svg } from "./dom.js";

const [WIDTH, HEIGHT, EDGE] = [120, 28, 3];

/**
 * Return a line of some hours' figures, the oldest first; null where there are not two to compare.
 * @param {Array<number|null>} values null: nothing happened in that hour that a figure could be of
 * @param {number} at_ms when the last of these hours ends
 * @param {function(number): string} write
 */
export function spark(values, at_ms, write) {
  const known = (values ?? []).filter((value) => value !== null && value !== undefined);
  if (known.length < 2) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (at) => EDGE + (at * (WIDTH - 2 * EDGE)) / (values.length - 1);
  const y = (value) => (high === low ? HEIGHT / 2 : HEIGHT - EDGE - ((value - low) * (HEIGHT - 2 * EDGE)) / (high - low));
  // A gap in the line is an hour without a figure.
  let drawn = false;
  const path = values.map((value, at) => {
    if (value === null || value === undefined) { drawn = false; return ""; }
    const step = `${drawn ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    drawn = true;
    return step;
  }).join("");
  const last = values.findLastIndex((value) => value !== null && value !== undefined);
  const said = `Last ${values.length} hours, the oldest first: ${values.map((value) => (value === null || value === undefined ? "none" : write(value))).join(", ")}`;
  return h("span", { class: "sparkline", dataset: { until: at_ms } },
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said, preserveAspectRatio: "none" },
      svg("path", { d: path, fill: "none", "vector-effect": "non-scaling-stroke" }),
      svg("circle", { cx: x(last), cy: y(values[last]), r: 2 })),
    h("span", { class: "small", "aria-hidden": "true", text: `${values.length} h: ${write(low)} to ${write(high)}` }));
}
