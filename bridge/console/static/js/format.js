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

// One way to write a moment, everywhere: the browser's own zone, and its name beside it.
const PARTS = new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short" });
const parts = (ms) => Object.fromEntries(PARTS.formatToParts(ms).map(({ type, value }) => [type, value]));

/** Return the zone of a moment, as a column's head names it: UTC, CET, GMT+2. */
export const zone = (ms = Date.now()) => parts(ms).timeZoneName;

/** Return a moment under a head that names the zone: 2026-11-22 14:03:05. */
export function moment(ms) {
  if (!ms) return "";
  const { year, month, day, hour, minute, second } = parts(ms);
  return `${year}-${month}-${day} ${hour}:${minute}:${second}`;
}

/** Return a moment that stands by itself: 2026-11-22 14:03:05 UTC. */
export const when = (ms) => (ms ? `${moment(ms)} ${zone(ms)}` : "");

/** Return the time of today: 14:03:05 UTC. */
export const time = (ms) => (ms ? when(ms).slice(11) : "");
export const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)}%`);
/** Return the arm that a call was dealt to, and the one that took it over. */
export const arms = (call) => [call.arm, call.rescued_by && `rescued by ${call.rescued_by}`].filter(Boolean).join(", ");
export const words = (name) => String(name ?? "").replaceAll("_", " ");
