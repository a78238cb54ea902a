// What every page has: the menu, the colours, help, open alerts in the menu.

import { attempt, del, get, may } from "./api.js";
import { $ } from "./dom.js";
import { help } from "./keys.js";

$("#menu-button")?.addEventListener("click", (event) => {
  const open = $(".rail").classList.toggle("open");
  event.currentTarget.setAttribute("aria-expanded", String(open));
});
$("#help-button")?.addEventListener("click", help);
$("#theme-button")?.addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("console.theme", root.dataset.theme); } catch { /* storage is off */ }
});

$("#sign-out")?.addEventListener("click", async () => {
  if ((await attempt(del("/session"))) !== undefined) location.assign("/login");
});

async function countAlerts() {
  const badge = $("#open-alerts");
  if (!badge || !may("alerts.view")) return;
  try {
    const { open } = await get("/alerts?limit=1");
    badge.hidden = !open;
    badge.textContent = open > 99 ? "99+" : String(open);
    badge.setAttribute("aria-label", `${open} open`);
  } catch { /* the page itself says what is wrong */ }
}
countAlerts();
setInterval(countAlerts, 15000);
