import { goOn, onSubmit, tell, why } from "./door.js";

const form = document.querySelector("#login");
onSubmit(form, async ({ user, password }) => {
  const answer = await tell("/session", { user: user.trim().toLowerCase(), password });
  if (answer.ok) return goOn();
  form.elements.password.value = "";
  form.elements.password.focus();
  return why(answer);
});
