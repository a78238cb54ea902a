// A page that asks again every few seconds, only while it is seen, and says how old its data is.

import { get } from "./api.js";
import { isPaused, onResume, showState } from "./stream.js";

/** Ask `path` again and again; return a function that asks now. */
export function poll(path, every_ms, draw) {
  let heard = 0;
  let why = "";
  let timer = 0;
  const ask = async () => {
    clearTimeout(timer);
    if (!document.hidden && !isPaused()) {
      try {
        const found = await get(path);
        heard = performance.now();
        why = "";
        if (!isPaused()) draw(found);
      } catch (error) { why = error.message; }
    }
    timer = setTimeout(ask, every_ms);
  };
  setInterval(() => {
    const old = heard ? performance.now() - heard : Infinity;
    showState(why ? "away" : old > every_ms + 5000 ? "stale" : "live", old, why);
  }, 500);
  document.addEventListener("visibilitychange", ask);
  onResume(ask);
  ask();
  return ask;
}
