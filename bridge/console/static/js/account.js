import { Refused, post } from "./api.js";
import { onSubmit } from "./door.js";

const form = document.querySelector("#change");
const done = document.querySelector("#done");
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
