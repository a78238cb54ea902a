// Sets the colours before the first paint, so it is no module: it must run at once.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let kept = null;
    try { kept = localStorage.getItem("console.theme"); } catch { /* storage is off */ }
    root.dataset.theme = kept ?? (system.matches ? "dark" : "light");
  };
  apply();
  system.addEventListener("change", apply);
})();
