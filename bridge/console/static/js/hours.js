// A week's opening hours as a grid, and the holidays to come.

import { h, svg } from "./dom.js";

const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const DAY_MINUTES = 24 * 60;
const MARKS = [0, 6, 12, 18, 24];

const two = (n) => String(n).padStart(2, "0");
const clock = (minutes) => `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
const said = (spans) => (spans.length ? spans.map(([begin, end]) => `${clock(begin)} to ${clock(end)}`).join(", ") : "closed");

/** Return the week of a route, a row a day. */
export function week(days, zone) {
  return h("table", { class: "week", "aria-label": `Opening hours, ${zone}` },
    h("thead", {}, h("tr", {}, h("th", { scope: "col", text: "Day" }), h("th", { scope: "col" }, h("span", { class: "scale", "aria-hidden": "true" }, MARKS.map((hour) => h("span", { text: two(hour) }))), h("span", { class: "visually-hidden", text: "Hours" })), h("th", { scope: "col", text: zone }))),
    h("tbody", {}, days.map((spans, at) => h("tr", {}, h("th", { scope: "row", text: DAYS[at] }), h("td", { class: "bar-cell" }, bar(spans)), h("td", { class: "small", text: said(spans) })))));
}

function bar(spans) {
  return svg("svg", { viewBox: `0 0 ${DAY_MINUTES} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "closed", width: DAY_MINUTES, height: 10 }),
    spans.map(([begin, end]) => svg("rect", { class: "open", x: begin, width: end - begin, height: 10 })),
    MARKS.slice(1, -1).map((hour) => svg("line", { x1: hour * 60, x2: hour * 60, y1: 0, y2: 10, "vector-effect": "non-scaling-stroke" })));
}

/** Return the holidays to come; a route may have none. */
export function holidays(days) {
  if (!days.length) return h("p", { class: "small muted", text: "No holiday within the next four months." });
  return h("ul", { class: "holidays", "aria-label": "Holidays to come" }, days.map(({ day, name }) => h("li", {}, h("b", { text: day }), ` ${name}`)));
}
