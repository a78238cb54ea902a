// Filters that fold where the window is narrow: one button, which says how many hold.

import { $ } from "./dom.js";

/**
 * Have `#fold` open and close what is in `#folds`.
 * @param {function(): number} count of filters that hold
 * @returns {function(): void} writes that on the button
 */
export function folding(count) {
  const [button, fields] = [$("#fold"), $("#folds")];
  button.addEventListener("click", () => {
    button.setAttribute("aria-expanded", String(fields.classList.toggle("open")));
  });
  const tell = () => { button.textContent = count() ? `Filters (${count()})` : "Filters"; };
  tell();
  return tell;
}

/** Return how many of a form's fields hold something, but for one that is always seen. */
export const filled = (form, seen) => [...new FormData(form)].filter(([name, value]) => value && name !== seen).length;
