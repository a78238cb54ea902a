// Questions before something consequential, and forms.

import { h } from "./dom.js";

/**
 * Ask in a dialog.
 * @param {object} about title, text, fields, button, danger
 * @returns {Promise<object|null>} the form's values, null if it was left
 */
export function ask({ title, text = "", fields = [], button = "OK", danger = false }) {
  return new Promise((done) => {
    const made = fields.map(field);
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { text: title, id: "dialog-title" }),
      text ? h("p", { text }) : null,
      ...made.map(({ element }) => element),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", text: "Cancel", onclick: () => dialog.close("") }),
        h("button", { type: "submit", class: danger ? "danger solid" : "primary", value: "yes", text: button }),
      ),
    );
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
    dialog.addEventListener("close", () => {
      const values = Object.fromEntries(made.map(({ name, read }) => [name, read()]));
      dialog.remove();
      done(dialog.returnValue === "yes" ? values : null);
    });
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector("[autofocus]") ?? form.querySelector("input, textarea, select") ?? form.querySelector(".buttons button:last-child")).focus();
  });
}

const MAX_PICTURE_BYTES = 720 * 1024;
const AT_MOST = `at most ${MAX_PICTURE_BYTES / 1024} KiB`;

/** A chooser for a picture, which it shows; its value has the picture's type, and its bytes in base64. */
function pictureField({ name, label, required = false }) {
  let chosen = null;
  const input = h("input", { type: "file", name, required, accept: "image/png,image/jpeg" });
  const preview = h("img", { class: "preview", alt: "The picture that was chosen", hidden: true });
  const said = h("span", { class: "small muted", text: AT_MOST });
  const wrong = (why) => { input.setCustomValidity(why); said.textContent = why || said.textContent; };
  input.addEventListener("change", () => {
    const [file] = input.files;
    chosen = null;
    preview.hidden = true;
    said.textContent = file ? `${Math.ceil(file.size / 1024)} KiB, ${AT_MOST}` : AT_MOST;
    input.setCustomValidity("");
    if (!file) return;
    if (file.size > MAX_PICTURE_BYTES) { wrong(`This picture is too large: ${AT_MOST}.`); return; }
    input.setCustomValidity("The picture is still being read.");
    const reader = new FileReader();
    reader.addEventListener("error", () => wrong("The file can't be read."));
    reader.addEventListener("load", () => {
      if (input.files[0] === file) preview.src = reader.result;
    });
    reader.readAsDataURL(file);
  });
  preview.addEventListener("error", () => wrong("That is no picture."));
  preview.addEventListener("load", () => {
    const [head, data] = preview.src.split(",");
    chosen = { media_type: head.slice("data:".length).replace(";base64", ""), data };
    preview.hidden = false;
    input.setCustomValidity("");
  });
  return { name, read: () => chosen, element: h("label", { class: "field" }, h("span", { text: label }), input, said, preview) };
}

function field({ kind = "text", ...about }) {
  return kind === "picture" ? pictureField(about) : plainField(kind, about);
}

function plainField(kind, { name, label, value = "", options = [], choices = [], required = false, hint = "", ...more }) {
  let input;
  if (kind === "textarea") input = h("textarea", { name, required, value, ...more });
  else if (kind === "select") {
    input = h("select", { name, ...more }, options.map(([key, text]) => h("option", { value: key, selected: key === value, text })));
  } else if (kind === "check") {
    input = h("input", { type: "checkbox", name, checked: Boolean(value), ...more });
    return { name, read: () => input.checked, element: h("label", { class: "check" }, input, label) };
  } else input = h("input", { type: kind, name, required, value, list: choices.length ? `${name}-choices` : null, ...more });
  const list = choices.length ? h("datalist", { id: `${name}-choices` }, choices.map((each) => h("option", { value: each }))) : null;
  const element = h("label", { class: "field" }, h("span", { text: label }), input, list, hint ? h("span", { class: "small muted", text: hint }) : null);
  return { name, element, read: () => (kind === "number" ? Number(input.value) : input.value.trim()) };
}
