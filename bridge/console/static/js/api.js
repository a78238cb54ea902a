// The one door to the server: everything goes through /api/v1 with the session's CSRF token.

import { toast } from "./dom.js";

const about = document.documentElement.dataset;
const permissions = new Set((about.permissions ?? "").split(" ").filter(Boolean));

export const may = (permission) => permissions.has(permission);
export const user = about.user ?? "";

/** What supervisors may do to a live call, by name: title, done, permission, forHolder, path, holderPath. */
export const VERBS = JSON.parse(about.verbs ?? "{}");

export class Refused extends Error {
  constructor(status, why) { super(why); this.status = status; }
}

async function ask(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      credentials: "same-origin",
      headers: {
        Accept: "application/json",
        ...(method === "GET" ? {} : { "X-CSRF-Token": csrf(), "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, "The server can't be reached.");
  }
  if (response.status === 401) { location.assign(`/login?next=${encodeURIComponent(location.pathname)}`); }
  // 204 has no body, whatever type its header names.
  const hasJson = response.status !== 204 && response.headers.get("Content-Type")?.startsWith("application/json");
  const found = hasJson ? await response.json() : null;
  if (!response.ok) throw new Refused(response.status, why(found, response.status));
  return found;
}

function csrf() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

function why(found, status) {
  const detail = found?.detail ?? found?.reason ?? found?.error;
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map((each) => each.what).join("; ");
  return status === 403 ? "You may not do that." : `The server answered with ${status}.`;
}

export const get = (path) => ask("GET", path);
export const patch = (path, body) => ask("PATCH", path, body);
export const put = (path, body) => ask("PUT", path, body);
export const del = (path) => ask("DELETE", path);
export const post = (path, body = {}, headers = {}) => ask("POST", path, body, headers);

/** Ask, and say what went wrong; undefined then. */
export async function attempt(asking) {
  try {
    return await asking;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(error.message, "bad");
    return undefined;
  }
}
