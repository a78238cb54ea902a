// Before there is a session: asking the API, and saying what was wrong.

/** Ask; returns {ok, status, found, retryAfterS}. */
export async function tell(path, body) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method: "POST",
      credentials: "same-origin",
      headers: { Accept: "application/json", "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    return { ok: false, status: 0, found: { detail: "The server can't be reached." } };
  }
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const found = isJson ? await response.json() : null;
  return { ok: response.ok, status: response.status, found, retryAfterS: response.headers.get("Retry-After") };
}

/** Return why it was refused, in words. */
export function why({ status, found, retryAfterS }) {
  if (status === 429) return `Too many tries. Wait ${retryAfterS} s and try again.`;
  const detail = found?.detail;
  if (Array.isArray(detail)) return detail.map((each) => each.what).join("; ");
  return detail ?? `The server answered with ${status}.`;
}

export function complain(text) {
  const problem = document.querySelector("#problem");
  problem.hidden = !text;
  problem.textContent = text;
}

/** Go to where somebody wanted to go before: a path of ours, nothing else. */
export function goOn() {
  const wanted = new URLSearchParams(location.search).get("next") ?? "/";
  const target = new URL(wanted, location.origin);
  // The whole address: a path that begins with two slashes would be another host.
  location.replace(target.origin === location.origin ? location.origin + target.pathname : "/");
}

/** Run a form's work once at a time; it returns what was wrong, or nothing. */
export function onSubmit(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    complain("");
    try {
      complain((await work(Object.fromEntries(new FormData(form)))) ?? "");
    } finally {
      button.disabled = false;
    }
  });
}
