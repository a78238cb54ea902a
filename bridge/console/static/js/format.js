// How figures are written.

let skew_ms = 0;

/** Learn how far the server's clock is from this one. */
export function learnClock(at_ms) { skew_ms = at_ms - Date.now(); }
export const now = () => Date.now() + skew_ms;

/** Return a time span as m:ss or h:mm:ss. */
export function clock(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "";
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

export const age = (since_ms) => (since_ms ? clock(now() - since_ms) : "");

/** Return a short span: 340 ms, 1.4 s. */
export function span(ms) {
  if (ms === null || ms === undefined || ms === "") return "";
  const n = Number(ms);
  return n < 1000 ? `${Math.round(n)} ms` : `${(n / 1000).toFixed(1)} s`;
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const SHORT = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const shortly = (ms) => (ms ? SHORT.format(ms) : "");
export const when = (ms) => (ms ? DAY.format(ms) : "");
export const time = (ms) => (ms ? TIME.format(ms) : "");
export const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)}%`);
export const words = (name) => String(name ?? "").replaceAll("_", " ");
