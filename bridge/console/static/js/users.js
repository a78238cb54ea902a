import { attempt, get, patch, post, user as me } from "./api.js";
import { ask } from "./dialogs.js";
import { $, badge, fill, h } from "./dom.js";

const ROLES = ["viewer", "agent", "supervisor", "qa", "operator", "admin", "auditor"];
const body = $("#users");

const roleFields = (chosen) =>
  ROLES.map((role) => ({ name: role, label: role, kind: "check", value: chosen.includes(role) }));
const rolesOf = (values) => ROLES.filter((role) => values[role]);
const routesField = (routes) => ({
  name: "routes", label: "Routes", value: routes.join(", "), required: true,
  hint: "Dialplans whose calls they see: names, or patterns like sales-*; * for all",
});
const routesOf = (values) => values.routes.split(",").map((each) => each.trim()).filter(Boolean);

function state(user) {
  if (user.disabled) return badge("bad", "disabled");
  if (user.invited) return badge("warn", "invited");
  return badge("good", user.provider ? "signs in elsewhere" : "active");
}

function row(user) {
  const button = (text, work, danger) =>
    h("button", { type: "button", text, class: danger ? "danger" : "", "aria-label": `${text}: ${user.user}`, onclick: work });
  return h(
    "tr", {},
    h("td", { "data-label": "Name" }, user.user, user.user === me ? " (you)" : ""),
    h("td", { "data-label": "Roles", text: user.roles.join(", ") || "none" }),
    h("td", { "data-label": "Routes", text: user.routes.join(", ") }),
    h("td", { "data-label": "State" }, state(user)),
    h("td", { class: "wide" }, h("div", { class: "row-actions" },
      button("Change", () => change(user)),
      user.provider ? null : button("New link", () => reset(user)),
      user.disabled
        ? button("Enable", () => put(user, { disabled: false }))
        : button("Disable", () => disable(user), true))),
  );
}

async function show() {
  const users = await attempt(get("/users"));
  if (users) fill(body, users.map(row));
}

async function put(user, given) {
  if (await attempt(patch(`/users/${encodeURIComponent(user.user)}`, given))) await show();
}

async function change(user) {
  const fields = [...(user.provider ? [] : roleFields(user.roles)), routesField(user.routes)];
  const values = await ask({ title: `Change ${user.user}`, fields, button: "Change" });
  if (!values) return;
  const roles = user.provider ? {} : { roles: rolesOf(values) };
  await put(user, { ...roles, routes: routesOf(values) });
}

async function disable(user) {
  const sure = await ask({
    title: `Disable ${user.user}?`, text: "All their sign-ins end now; what they listen to stops.",
    button: "Disable", danger: true,
  });
  if (sure) await put(user, { disabled: true });
}

async function reset(user) {
  const sure = await ask({
    title: `A new link for ${user.user}?`, text: "Their password and their sign-ins end now.",
    button: "Make a link", danger: !user.invited,
  });
  if (!sure) return;
  giveLink(await attempt(post(`/users/${encodeURIComponent(user.user)}/reset`)));
}

function giveLink(made) {
  if (!made) return;
  $("#link-title").textContent = `A link for ${made.user}`;
  $("#link-text").value = made.link;
  $("#link").hidden = false;
  $("#link").focus();
  show();
}

$("#copy").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  $("#link-text").select();
  await navigator.clipboard?.writeText($("#link-text").value);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

$("#invite").addEventListener("click", async () => {
  const values = await ask({
    title: "Invite somebody", button: "Make a link",
    fields: [
      { name: "user", label: "Name", required: true, hint: "Small letters, digits, and . _ @ -", pattern: "[a-z0-9][a-z0-9._@\\-]*", maxlength: 64 },
      ...roleFields(["supervisor"]),
      routesField(["*"]),
    ],
  });
  if (!values) return;
  giveLink(await attempt(post("/users", { user: values.user, roles: rolesOf(values), routes: routesOf(values) })));
});

show();
