// Server-sent events that say how old their data is; they come back by themselves.

import { $, $$ } from "./dom.js";
import { note } from "./loss.js";

const STALE_MS = 5000;

// What is shown can be held (WCAG 2.2.2): the page's one button, whatever its data come by.

let paused = false;
const resumed = [];
export const isPaused = () => paused;

/** Have something done when the page goes on. */
export function onResume(act) { resumed.push(act); }

const badgeOf = () => $("#live-badge");
$("#pause")?.addEventListener("click", ({ currentTarget: button }) => {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? "Resume updates" : "Pause updates";
  if (paused) {
    badgeOf().dataset.state = "stale";
    badgeOf().querySelector("b").textContent = "PAUSED";
  } else for (const act of resumed) act();
});

/**
 * Follow a stream.
 * @param {string} path below /api/v1
 * @param {Object<string, function(object): void>} handlers by event name
 * @param {function(string, number): void} onState gets live, stale or away, and the age in ms
 * @param {string} what it brings, as people call it
 * @returns {function(): void} ends it
 */
export function follow(path, handlers, onState, what) {
  const begun = performance.now();
  let source = null;
  let heard = 0;
  let away = "";
  let over = false;
  let again = 0;
  const open = () => {
    source = new EventSource(`/api/v1${path}`);
    // A beat says that there is nothing new: what is shown is as it is.
    for (const [name, handler] of Object.entries({ beat: () => {}, ...handlers })) {
      source.addEventListener(name, (event) => {
        heard = performance.now();
        away = "";
        handler(JSON.parse(event.data));
      });
    }
    source.addEventListener("away", (event) => { away = JSON.parse(event.data).reason; });
    // The browser itself comes back, unless the server refused: then we ask again, slowly.
    source.onerror = () => {
      if (!over && source.readyState === EventSource.CLOSED) again = setTimeout(open, 3000);
    };
  };
  const tell = () => {
    const old = heard ? performance.now() - heard : Infinity;
    onState(away ? "away" : old > STALE_MS ? "stale" : "live", old, away);
    note(what, Boolean(away) || performance.now() - (heard || begun) > STALE_MS, away);
  };
  open();
  const timer = setInterval(tell, 500);
  return () => { over = true; clearInterval(timer); clearTimeout(again); source.close(); note(what, false); };
}

/** Show a stream's state in the page's LIVE badge; what is under `.live-data` goes grey when old. */
export function showState(state, old_ms, why = "") {
  const badge = badgeOf();
  if (!badge || paused) return;
  badge.hidden = false;
  const said = old_ms === Infinity ? "CONNECTING" : state === "live" ? "LIVE" : state === "away" ? "NO DATA" : "STALE";
  badge.dataset.state = old_ms === Infinity ? "stale" : state;
  badge.querySelector("b").textContent = said;
  badge.querySelector(".age").textContent = old_ms === Infinity ? "" : `${Math.floor(old_ms / 1000)} s old`;
  badge.title = why;
  for (const each of $$(".live-data")) each.classList.toggle("is-stale", state !== "live" && old_ms !== Infinity);
}
