// The token stands in the fragment, which is never sent; it is taken out of the address bar at once.
import { complain, onSubmit, tell, why } from "./door.js";

const token = location.hash.slice(1);
history.replaceState(null, "", "/welcome");
const form = document.querySelector("#accept");
const about = document.querySelector("#about");

const looked = await tell("/invitation", { token });
if (looked.ok) {
  const { user } = looked.found;
  about.textContent = user
    ? `You are invited as ${user}. Choose a password.`
    : "You are the console's first admin. Choose a name and a password.";
  form.elements.user.value = user;
  form.elements.user.readOnly = Boolean(user);
  form.hidden = false;
  form.elements[user ? "password" : "user"].focus();
} else {
  about.hidden = true;
  complain(why(looked));
}

onSubmit(form, async ({ user, password, again }) => {
  if (password !== again) return "The passwords are not the same.";
  const answer = await tell("/invitation/accept", { token, user, password });
  if (answer.found?.second_factor) return location.replace("/login");
  if (!answer.ok) return why(answer);
  location.replace("/");
});
