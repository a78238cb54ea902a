import { $ } from "./dom.js";
import { goOn, onSubmit, tell, why } from "./door.js";

const form = $("#login");
let enrolment = null;

onSubmit(form, async ({ user, password, code }) => {
  const proof = { user: user.trim().toLowerCase(), password, code: (code ?? "").trim() };
  const answer = await tell("/session", { ...proof, enrolment: enrolment?.token ?? "" });
  if (answer.ok) return answer.found.recovery_codes.length ? show(answer.found.recovery_codes) : goOn();
  if (answer.found?.second_factor) return askForCode(answer.found);
  const wrong = proof.code ? form.elements.code : form.elements.password;
  wrong.value = "";
  wrong.focus();
  return why(answer);
});

/** The password was right: ask for the code, of an app that is set up now if there is none yet. */
function askForCode(found) {
  enrolment = found.enrolment ?? null;
  if (enrolment) {
    $("#picture").src = enrolment.picture;
    $("#secret").value = enrolment.secret;
  }
  $("#enrol").hidden = !enrolment;
  for (const id of ["#code", "#code-hint"]) $(id).hidden = false;
  form.elements.code.required = true;
  form.elements.code.focus();
}

function show(codes) {
  form.hidden = true;
  $("#codes").textContent = codes.join("\n");
  $("#recovery").hidden = false;
  $("#recovery").focus();
}

$("#go-on").addEventListener("click", goOn);
