// What every page has: the menu, the colours, help, open alerts in the menu.

import { attempt, del, get, may } from "./api.js";
import { $, fill, h } from "./dom.js";
import { help } from "./keys.js";
import { note } from "./loss.js";

$("#menu-button")?.addEventListener("click", (event) => {
  const open = $(".rail").classList.toggle("open");
  event.currentTarget.setAttribute("aria-expanded", String(open));
});
$("#help-button")?.addEventListener("click", help);
const root = document.documentElement;
const other = () => (root.dataset.theme === "dark" ? "light" : "dark");
const theme = $("#theme-button");
const nameTheme = () => { if (theme) theme.textContent = other() === "dark" ? "Dark" : "Light"; };
new MutationObserver(nameTheme).observe(root, { attributeFilter: ["data-theme"] });
nameTheme();
theme?.addEventListener("click", () => {
  root.dataset.theme = other();
  try { localStorage.setItem("console.theme", root.dataset.theme); } catch { /* storage is off */ }
});

$("#sign-out")?.addEventListener("click", async () => {
  if ((await attempt(del("/session"))) !== undefined) location.assign("/login");
});

const COUNT_MS = 15000;
const COUNT_AGAIN_MS = 3000;

/** Say what is wrong with gateways, in the words of their `/readyz`. */
function showTroubles(nodes) {
  const bar = $("#troubles");
  const lines = Object.entries(nodes).map(([node, says]) => `Gateway ${node}: ${says}.`);
  if (bar.textContent !== lines.join("")) fill(bar, lines.map((text) => h("span", { text })));
  bar.hidden = !lines.length;
}

async function countAlerts() {
  const badge = $("#open-alerts");
  if (!badge || !may("alerts.view")) return;
  let next_ms = COUNT_MS;
  try {
    const { open, nodes } = await get("/alerts?limit=1");
    showTroubles(nodes);
    badge.hidden = !open;
    badge.textContent = open > 99 ? "99+" : String(open);
    badge.setAttribute("aria-label", `${open} open`);
    note("open alerts", false);
  } catch (error) {
    next_ms = COUNT_AGAIN_MS;
    note("open alerts", true, error.message);
  }
  setTimeout(countAlerts, next_ms);
}
countAlerts();
