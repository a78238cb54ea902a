// One's second factor: an authenticator app set up, confirmed by its first code, taken away.

import { Refused, get, post } from "./api.js";
import { $ } from "./dom.js";

const forms = { on: $("#factor-on"), confirm: $("#factor-confirm"), off: $("#factor-off") };
const problem = $("#factor-problem");
let token = "";

function only(shown) {
  for (const [name, form] of Object.entries(forms)) {
    form.hidden = name !== shown;
    form.reset();
  }
}

async function show() {
  const found = await get("/session/second-factor");
  $("#factor").hidden = !found.local;
  $("#factor-state").textContent = found.on
    ? `On: each sign-in asks for a code. ${found.recovery_codes_left} recovery codes are left.`
    : "Off: your password alone signs you in.";
  only(found.on ? (found.required ? "" : "off") : "on");
}

function onSubmit(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    try {
      await work(Object.fromEntries(new FormData(form)));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      problem.textContent = error.message;
      problem.hidden = false;
    }
  });
}

onSubmit(forms.on, async ({ password }) => {
  const made = await post("/session/second-factor", { password });
  token = made.token;
  only("confirm");  // which resets the forms, so it comes before what is shown in one
  $("#factor-picture").src = made.picture;
  $("#factor-secret").value = made.secret;
  forms.confirm.elements.code.focus();
});

onSubmit(forms.confirm, async ({ code }) => {
  const { recovery_codes: codes } = await post("/session/second-factor/confirm", { token, code });
  await show();
  $("#factor-codes").textContent = codes.join("\n");
  $("#factor-recovery").hidden = false;
  $("#factor-recovery").focus();
});

onSubmit(forms.off, async ({ password, code }) => {
  await post("/session/second-factor/off", { password, code });
  $("#factor-recovery").hidden = true;
  await show();
});

show();
