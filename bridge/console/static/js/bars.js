// A figure by hour, as bars.

import { h, svg } from "./dom.js";
import { when } from "./format.js";

const [WIDTH, HEIGHT] = [240, 80];

/**
 * Return a card with a bar for each hour.
 * @param {string} label what the figure is
 * @param {Array<{hour_at: number, value: number|null}>} hours the earliest first; null: there is none
 * @param {function(number): string} write
 * @param {number} least what the highest bar stands for at least
 */
export function bars(label, hours, write, least) {
  const known = hours.filter(({ value }) => value !== null);
  const high = Math.max(least, ...known.map(({ value }) => value));
  const wide = WIDTH / hours.length;
  const bar = ({ hour_at: at, value }, index) => {
    if (value === null) return [];
    const tall = (value / high) * HEIGHT;
    return svg("rect", { class: "bar", x: index * wide + wide * 0.1, width: wide * 0.8, y: HEIGHT - tall, height: tall }, svg("title", {}, `${when(at)}: ${write(value)}`));
  };
  const said = `${label} by hour, the earliest first: ${hours.map(({ value }) => (value === null ? "none" : write(value))).join(", ")}`;
  const highest = known.length ? `highest ${write(Math.max(...known.map(({ value }) => value)))}` : "none";
  return h("section", { class: "card", "aria-label": label },
    h("h2", {}, h("span", { text: label }), h("span", { class: "muted", text: highest })),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": said },
      svg("path", { class: "base", d: `M0 ${HEIGHT}H${WIDTH}`, "vector-effect": "non-scaling-stroke" }), hours.map(bar)),
    h("div", { class: "ends small muted" }, h("span", { text: when(hours[0].hour_at) }), h("span", { text: when(hours.at(-1).hour_at) })));
}
