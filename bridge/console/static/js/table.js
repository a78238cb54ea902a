// A table with chosen columns, a sort, one row that has the focus, and CSV.
// Rows are kept and changed in place, so what somebody points at stays where it is.

import { $$, fill, h } from "./dom.js";
import { keep, kept } from "./prefs.js";

export class Table {
  /**
   * @param {object} about name (for what is kept), columns, key(row), onOpen(row), caption
   * A column: {id, label, cell(row) -> Node|string, value(row), number, wide, off}.
   */
  constructor({ name, columns, key, onOpen, caption }) {
    Object.assign(this, { name, columns, key, onOpen });
    this.sort = kept(`${name}.sort`, null);
    this.hidden = new Set(kept(`${name}.hidden`, columns.filter((c) => c.off).map((c) => c.id)));
    this.rows = new Map();
    this.order = [];
    this.focused = null;
    this.selected = null;
    this.body = h("tbody");
    this.headRow = h("tr");
    this.element = h("table", { class: "grid dense", role: "grid", "aria-label": caption }, h("thead", {}, this.headRow), this.body);
    this.element.addEventListener("focusin", (event) => {
      const row = event.target.closest("tbody tr");
      if (row) this.#rove(row.dataset.key);
    });
    this.#head();
  }

  get shown() { return this.columns.filter((column) => !this.hidden.has(column.id)); }

  #head() {
    fill(this.headRow, this.shown.map((column) => {
      const cell = h("th", { scope: "col", class: column.number ? "number" : null, dataset: { column: column.id } });
      if (column.value) cell.append(h("button", { type: "button", text: column.label, onclick: () => this.turnSort(column.id) }));
      else cell.append(column.label);
      if (this.sort?.id === column.id) cell.setAttribute("aria-sort", this.sort.up ? "ascending" : "descending");
      return cell;
    }));
  }

  /** Sort by a column; once more turns it round, and then leaves it. */
  turnSort(id) {
    if (this.sort?.id !== id) this.sortBy({ id, up: true });
    else this.sortBy(this.sort.up ? { id, up: false } : null);
  }

  sortBy(sort) {
    this.sort = sort;
    keep(`${this.name}.sort`, this.sort);
    this.#head();
    this.onSort?.();
  }

  /** Return rows in the chosen order; `otherwise` compares where none is chosen. */
  sorted(rows, otherwise) {
    const column = this.columns.find((each) => each.id === this.sort?.id);
    if (!column) return [...rows].sort(otherwise);
    const way = this.sort.up ? 1 : -1;
    return [...rows].sort((a, b) => {
      const [x, y] = [column.value(a) ?? "", column.value(b) ?? ""];
      return way * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
    });
  }

  /** Show rows in this order. */
  show(rows) {
    const wanted = new Set(rows.map(this.key));
    for (const [key, { element }] of this.rows) {
      if (!wanted.has(key)) { element.remove(); this.rows.delete(key); }
    }
    rows.forEach((row, index) => {
      const known = this.rows.get(this.key(row));
      const element = known?.row === row ? known.element : this.put(row);
      if (this.body.children[index] !== element) this.body.insertBefore(element, this.body.children[index] ?? null);
    });
    this.order = rows.map(this.key);
    if (!this.order.includes(this.focused)) this.#rove(this.order[0] ?? null);
  }

  /** Change one row in place; make it if it is new (it is not shown yet then). */
  put(row) {
    const key = this.key(row);
    let known = this.rows.get(key);
    if (!known) {
      const element = h("tr", { class: "selectable", tabindex: -1, dataset: { key }, onclick: (event) => { if (!event.target.closest("a, button, input")) this.open(key); } });
      known = { element };
      this.rows.set(key, known);
    }
    known.row = row;
    fill(known.element, this.shown.map((column) => this.#cell(column, row)));
    known.element.classList.toggle("lost", Boolean(row.lost));
    known.element.setAttribute("aria-selected", String(key === this.selected));
    return known.element;
  }

  #cell(column, row) {
    const content = column.cell(row);
    const classes = [column.number ? "number" : "", column.wide ? "wide" : ""].join(" ").trim();
    return h("td", { class: classes || null, "data-label": column.label, dataset: { column: column.id } }, content === "" ? null : content);
  }

  /** Write the cells of one column anew: what grows with time. */
  refresh(ids) {
    for (const { element, row } of this.rows.values()) {
      for (const column of this.shown.filter((each) => ids.includes(each.id))) {
        const cell = element.querySelector(`td[data-column="${column.id}"]`);
        cell?.replaceWith(this.#cell(column, row));
      }
    }
  }

  #rove(key) {
    this.focused = key;
    for (const [each, { element }] of this.rows) element.tabIndex = each === key ? 0 : -1;
  }

  move(step) {
    const from = this.order.indexOf(this.focused);
    const inside = this.element.contains(document.activeElement);
    const to = Math.min(Math.max(inside ? from + step : Math.max(from, 0), 0), this.order.length - 1);
    const key = this.order[to];
    if (key === undefined) return;
    this.#rove(key);
    this.rows.get(key).element.focus();
  }

  open(key = this.focused) {
    const known = this.rows.get(key);
    if (known) this.onOpen?.(known.row);
  }

  select(key) {
    this.selected = key;
    for (const [each, { element }] of this.rows) element.setAttribute("aria-selected", String(each === key));
  }

  /** Return the menu that chooses columns. */
  chooser() {
    const menu = h("details", { class: "columns-menu" }, h("summary", { class: "button", text: "Columns" }));
    menu.append(h("div", {}, this.columns.filter((column) => column.label).map((column) => {
      const check = h("input", {
        type: "checkbox", checked: !this.hidden.has(column.id),
        onchange: () => {
          if (check.checked) this.hidden.delete(column.id); else this.hidden.add(column.id);
          keep(`${this.name}.hidden`, [...this.hidden]);
          this.#head();
          for (const { row } of this.rows.values()) this.put(row);
        },
      });
      return h("label", { class: "check" }, check, column.label);
    })));
    return menu;
  }

  /** Save the shown rows as CSV. A text that a spreadsheet would run as a formula gets a quote. */
  save() {
    const quote = (value) => {
      let text = value === null || value === undefined ? "" : String(value);
      if (typeof value !== "number" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
      return `"${text.replaceAll('"', '""')}"`;
    };
    const columns = this.shown.filter((column) => column.value);
    const lines = [columns.map((column) => quote(column.label))];
    for (const key of this.order) lines.push(columns.map((column) => quote(column.value(this.rows.get(key).row))));
    const blob = new Blob([lines.map((line) => line.join(",")).join("\r\n")], { type: "text/csv" });
    const link = h("a", { href: URL.createObjectURL(blob), download: `${this.name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  rowsShown() { return this.order.map((key) => this.rows.get(key)?.row).filter(Boolean); }
  elements() { return $$("tr", this.body); }
}
