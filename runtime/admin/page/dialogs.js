// What is asked before something is changed, and who asks.

import { h } from "./dom.js";
import { bytes } from "./words.js";

let counted = 0;

/** Opens a dialog over the page; resolves to what `close` is given, null when it is dismissed. */
function open(title, build) {
  return new Promise((done) => {
    const id = `dialog-${(counted += 1)}`;
    const before = document.activeElement;
    const dialog = h("dialog", { "aria-labelledby": id });
    let answer = null;
    const close = (given) => {
      answer = given;
      dialog.close();
    };
    dialog.append(h("h2", { id }, title), ...build(close));
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
      done(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function buttons(...all) {
  return h("div", { class: "buttons" }, all);
}

function button(text, press, kind = "plain") {
  return h("button", { type: "button", class: kind, onclick: press }, text);
}

/** Whether to go on. The careful answer has the focus. */
export function confirm({ title, text, yes, danger = false }) {
  return open(title, (close) => {
    const no = button("Cancel", () => close(false));
    no.autofocus = true;
    return [h("p", {}, text), buttons(no, button(yes, () => close(true), danger ? "danger" : "primary"))];
  });
}

/** Choices of how long the old version stays ready, s. */
const PROBATIONS = [
  [10, "10 seconds"],
  [60, "1 minute"],
  [600, "10 minutes"],
  [3600, "1 hour"],
];

/** A component to change to: `{ file, probationMs, dryRun }`. */
export function swap({ name, version }) {
  return open(`Swap ${name}`, (close) => {
    const file = h("input", { type: "file", id: "swap-file", accept: ".wasm,application/wasm", "aria-describedby": "swap-about" });
    const about = h("p", { id: "swap-about", class: "hint" }, "A WebAssembly component that does the same work.");
    const options = PROBATIONS.map(([seconds, text]) => h("option", { value: seconds, selected: seconds === 60 }, text));
    const probation = h("select", { id: "swap-probation" }, options);
    const chosen = (dryRun) => () => close({ file: file.files[0], probationMs: Number(probation.value) * 1000, dryRun });
    const check = button("Only check", chosen(true));
    const go = button("Swap", chosen(false), "primary");
    const choose = () => {
      const one = file.files[0];
      check.disabled = go.disabled = one === undefined;
      about.textContent = one === undefined ? "" : `${one.name}, ${bytes(one.size)}, takes over at the next batch boundary. Nothing is lost or doubled; if it fails, the old version goes on.`;
    };
    file.addEventListener("change", choose);
    check.disabled = go.disabled = true;
    return [
      h("p", {}, "It runs ", h("b", {}, version ?? "a component that has not begun"), "."),
      h("p", { class: "field" }, h("label", { for: "swap-file" }, "New component"), file),
      about,
      h("p", { class: "field" }, h("label", { for: "swap-probation" }, "On probation for"), probation),
      buttons(button("Cancel", () => close(null)), check, go),
    ];
  });
}

/** The form that asks for the token. */
export function signIn(wrong, take) {
  const input = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, "aria-describedby": wrong ? "token-wrong" : undefined, "aria-invalid": wrong ? "true" : undefined });
  const submit = (event) => {
    event.preventDefault();
    const token = input.value.trim();
    if (token !== "") take(token);
  };
  const form = h(
    "form",
    { class: "sign-in", onsubmit: submit },
    h("h1", { tabindex: "-1" }, "Sign in"),
    h("p", {}, "Whoever has the admin token sees and changes the connectors of this process."),
    wrong ? h("p", { class: "wrong", id: "token-wrong", role: "alert" }, "That is not the token of this process.") : null,
    // For password managers, which keep a password with a name.
    h("input", { type: "text", autocomplete: "username", value: "admin", hidden: true, readonly: true }),
    h("p", { class: "field" }, h("label", { for: "token" }, "Admin token"), input),
    h("p", { class: "hint" }, "It is ", h("code", {}, "admin.token"), " of the configuration, or else in the file ", h("code", {}, "admin-token"), " of the state folder. ", h("code", {}, "jackfield run"), " prints a link that has it. It is kept until this tab is closed."),
    h("div", { class: "buttons" }, h("button", { class: "primary", type: "submit" }, "Sign in")),
  );
  return { element: form, focus: () => input.focus() };
}
