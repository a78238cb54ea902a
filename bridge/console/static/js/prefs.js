// What somebody chose, kept in this browser.

export function kept(name, otherwise) {
  try {
    const found = localStorage.getItem(`console.${name}`);
    return found === null ? otherwise : JSON.parse(found);
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try { localStorage.setItem(`console.${name}`, JSON.stringify(value)); } catch { /* storage is off */ }
}
