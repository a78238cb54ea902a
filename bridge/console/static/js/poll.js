// A page that asks again every few seconds, only while it is seen, and says how old its data is.

import { get } from "./api.js";
import { note } from "./loss.js";
import { isPaused, onResume, showState } from "./stream.js";

const LATE_MS = 5000;

/**
 * Ask again and again.
 * @param {string|function(): string} path below /api/v1
 * @param {number} every_ms
 * @param {string} what it brings, as people call it
 * @param {function(object): void} draw what has come
 * @param {function(): void} onLost is called while nothing comes any more
 * @returns {function(): void} asks now
 */
export function poll(path, every_ms, what, draw, onLost = () => {}) {
  let heard = 0;
  let asked = 0;
  let why = "";
  let timer = 0;
  const ask = async () => {
    clearTimeout(timer);
    if (!document.hidden && !isPaused()) {
      asked ||= performance.now();
      try {
        const found = await get(typeof path === "function" ? path() : path);
        heard = performance.now();
        why = "";
        if (!isPaused()) draw(found);
      } catch (error) { why = error.message; }
      asked = 0;
    }
    timer = setTimeout(ask, every_ms);
  };
  setInterval(() => {
    const old = heard ? performance.now() - heard : Infinity;
    const isLost = Boolean(why) || (asked > 0 && performance.now() - asked > LATE_MS);
    showState(why ? "away" : old > every_ms + LATE_MS ? "stale" : "live", old, why);
    note(what, isLost, why);
    if (isLost && !isPaused()) onLost();
  }, 500);
  document.addEventListener("visibilitychange", ask);
  onResume(ask);
  ask();
  return ask;
}
