// What somebody chose, kept in this browser for them: two people at one desk don't share it.

const mine = `console.${document.documentElement.dataset.user ?? ""}.`;

export function kept(name, otherwise) {
  try {
    const found = localStorage.getItem(mine + name);
    return found === null ? otherwise : JSON.parse(found);
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try { localStorage.setItem(mine + name, JSON.stringify(value)); } catch { /* storage is off */ }
}
