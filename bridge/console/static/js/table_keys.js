// The keys that move through a table's rows and open them, the same on every page that has one.

import { key } from "./keys.js";

/** Have the keys move through `table`, and `/` go to its search field. */
export function useKeys(table, search) {
  // Arrows, Home, End and Enter mean something else outside the rows, and Enter on a link in them.
  const inRows = (act) => (event) => (table.body.contains(event.target) ? act(event) : false);
  key("next", () => table.move(1));
  key("previous", () => table.move(-1));
  key("down", inRows(() => table.move(1)));
  key("up", inRows(() => table.move(-1)));
  key("first", inRows(() => table.move(-Infinity)));
  key("last", inRows(() => table.move(Infinity)));
  key("open", inRows((event) => (event.target.closest("a") ? false : table.open())));
  key("search", () => search.focus());
}
