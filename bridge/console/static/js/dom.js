// Elements made in code. Text goes in as text: nothing here ever reads it as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element. `props`: attributes; `on*` listeners; `class`, `dataset`, `text`. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "text") element.textContent = value;
  else if (name === "dataset") Object.assign(element.dataset, value);
  else if (name === "value") element.value = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** Return an element of a drawing. */
export function svg(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, String(value));
  element.append(...children.flat(Infinity));
  return element;
}

const PATHS = {
  good: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm3.6 5.2-4.2 5-2.6-2.5 1-1L7.3 9l3.2-3.8 1.1 1Z",
  warn: "M8 1.3 15.2 14H.8L8 1.3ZM7.2 6v4h1.6V6H7.2Zm0 5.2v1.5h1.6v-1.5H7.2Z",
  bad: "M5 1h6l4 4v6l-4 4H5l-4-4V5l4-4Zm2.2 3v5h1.6V4H7.2Zm0 6.3v1.6h1.6v-1.6H7.2Z",
  info: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm-.8 6h1.6v5H7.2V7Zm0-2.8h1.6v1.6H7.2V4.2Z",
  phone: "M4 1.5 6.2 5 5 6.8c.8 1.8 2.3 3.4 4.2 4.2L11 9.8l3.5 2.2-1 2.5C7 15 1 9 1.5 2.5L4 1.5Z",
  tool: "M10.5 1a4.5 4.5 0 0 0-4.2 6L1 12.3 3.7 15 9 9.7A4.5 4.5 0 0 0 15 5.5l-.2-1.2-2.6 2.5-2.5-.5-.5-2.5L11.7 1.2 10.5 1Z",
  eye: "M8 3C4.5 3 1.8 5.4.5 8c1.3 2.6 4 5 7.5 5s6.2-2.4 7.5-5C14.2 5.4 11.5 3 8 3Zm0 8a3 3 0 1 1 0-6 3 3 0 0 1 0 6Z",
  flag: "M3 1h1.5v1H13l-2 3 2 3H4.5v7H3V1Z",
};

/** Return a sign; what it says stands in words beside it. */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true", fill: "currentColor" }, svg("path", { d: PATHS[name] ?? PATHS.info }));
}

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

/** Put children in the place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function badge(kind, text, sign = null) {
  return h("span", { class: `badge ${kind}` }, sign ? icon(sign) : null, text);
}

/** Return a text on one line; what does not fit is told to whoever points at it. */
export const clip = (text, kind = "") => h("span", { class: `clip ${kind}`.trim(), title: text, text });

export function empty(title, text, ...more) {
  return h("div", { class: "empty" }, h("strong", { text: title }), h("span", { text }), ...more);
}

/** Say something that passes; politely, or at once if it is bad. */
export function toast(text, kind = "") {
  const box = $(kind === "bad" ? "#alerts-said" : "#said");
  const element = h("div", { class: `toast ${kind}`, text });
  box.append(element);
  setTimeout(() => element.remove(), kind === "bad" ? 10000 : 5000);
}
