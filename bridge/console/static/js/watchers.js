// Who watches a call: they listen, or within the last minute have whispered to the agent or had it say
// something to the caller. Names are for those who may listen themselves; the others see how many.

import { user } from "./api.js";
import { badge, h } from "./dom.js";

const WORDS = { listens: "listens", whispers: "whispers", shows: "shows a picture", says: "speaks through the AI" };
const YOURS = { listens: "you listen", whispers: "you whisper", shows: "you show a picture", says: "you speak through the AI" };
const said = ({ by, does }) => (by === user ? YOURS[does] : `${by} ${WORDS[does]}`);
const seen = (...text) => badge("info", text, "eye");

/** Return who watches but for who has the caller: that is told elsewhere. */
const others = (row) => (row.watched_by ?? []).filter(({ by }) => by !== row.held_by);

/** Return a badge for each who watches. */
export function watchersOf(row) {
  return row.watched_by ? others(row).map((each) => seen(said(each))) : watcherCount(row);
}

/** Return one badge that says how many, and who to those who ask it. */
export function watcherCount(row) {
  const count = row.watched_by ? others(row).length : row.watchers;
  if (!count) return null;
  const element = seen(String(count), h("span", { class: "in-words", text: " watching" }));
  const names = others(row).map(said).join(", ");
  if (names) {
    element.title = names;
    element.append(h("span", { class: "visually-hidden", text: `: ${names}` }));
  }
  return element;
}
