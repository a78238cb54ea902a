// Saved filters: a name for what is filtered now, to come back to.

import { ask } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { keep, kept } from "./prefs.js";

/**
 * Return a menu of saved filters.
 * @param {string} name of the page
 * @param {function(): object} read gives what is filtered now
 * @param {function(object): void} apply filters like that
 */
export function views(name, read, apply) {
  let saved = kept(`${name}.views`, []);
  const list = h("div");
  const menu = h("details", { class: "columns-menu" }, h("summary", { class: "button", text: "Saved filters" }), list);
  const store = (next) => { saved = next; keep(`${name}.views`, saved); draw(); };
  const save = async () => {
    const values = read(); // as they are seen now, whatever changes until the name is given
    const given = await ask({ title: "Save these filters", fields: [{ name: "name", label: "Name", required: true, maxlength: 40 }], button: "Save" });
    if (given?.name) store([...saved.filter((each) => each.name !== given.name), { name: given.name, values }]);
  };
  const draw = () => fill(list, saved.map((each) => h("div", { class: "view" },
    h("button", { type: "button", class: "quiet grow", text: each.name, onclick: () => { apply(each.values); menu.open = false; } }),
    h("button", { type: "button", class: "quiet", "aria-label": `Forget ${each.name}`, text: "✕", onclick: () => store(saved.filter((other) => other !== each)) }))),
  saved.length ? null : h("p", { class: "small muted", text: "None yet." }), h("button", { type: "button", text: "Save these filters…", onclick: save }));
  draw();
  return menu;
}
