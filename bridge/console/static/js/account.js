import { Refused, post } from "./api.js";
import { $ } from "./dom.js";
import { onSubmit } from "./door.js";
import { keep, kept } from "./prefs.js";

const form = $("#change");
const done = $("#done");
onSubmit(form, async ({ old, new: wanted, again }) => {
  done.hidden = true;
  if (wanted !== again) return "The new passwords are not the same.";
  try {
    await post("/session/password", { old, new: wanted });
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
  form.reset();
  done.hidden = false;
});

const phone = $("#phone");
if (phone) phone.elements.phone.value = kept("phone", "");
phone?.addEventListener("submit", (event) => {
  event.preventDefault();
  keep("phone", phone.elements.phone.value.trim());
  $("#phone-kept").hidden = false;
});
