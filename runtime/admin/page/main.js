// Puts the page together: who asks, what is shown, and what the server says meanwhile.

import { Connector } from "./connector.js";
import { signIn } from "./dialogs.js";
import { say } from "./dom.js";
import { Field } from "./field.js";
import { Model } from "./model.js";
import * as session from "./session.js";
import { follow } from "./stream.js";
import { word } from "./state.js";
import { time } from "./words.js";

/** How long a message stays, ms. */
const SAID_FOR = 8000;

const by = (id) => document.getElementById(id);
const main = by("main");
const model = new Model();
let field = null;
let shown = null;
let following = null;

/** Says what became of something, aloud too. */
let hush;
function tell(text, wrong = false) {
  const said = by("said");
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
  clearTimeout(hush);
  // What went wrong stays until something else is said.
  if (!wrong) hush = setTimeout(() => said.replaceChildren(), SAID_FOR);
}

function link(state, text) {
  by("link").dataset.link = state;
  say(by("link-text"), text);
}

function display(view) {
  shown?.close?.();
  shown = view;
  main.replaceChildren(view.element);
}

/** Shows what the address names. `moved`: the reader has gone there, and the focus goes along. */
function route(moved) {
  if (following === null) return;
  const named = /^#\/connectors\/([^/?]+)$/.exec(location.hash);
  const from = shown instanceof Connector ? shown.name : null;
  if (named) {
    const name = decodeURIComponent(named[1]);
    display(new Connector(model, name, tell));
    document.title = `${name} · Jackfield`;
  } else {
    field ??= new Field(model);
    display(field);
    field.draw();
    document.title = "Jackfield";
  }
  shown.update();
  if (moved) {
    scrollTo(0, 0);
    shown.focus(from);
  }
}

function process() {
  if (model.process === null) return;
  say(by("process"), `${model.process.version} · up ${time(Math.floor((model.at - model.process.started_ms) / 60000) * 60000 || model.at - model.process.started_ms)}`);
}

function take(kind, event) {
  const before = new Map([...model.connectors].map(([name, it]) => [name, it.state]));
  const first = model.at === null;
  model.take(kind, event);
  link("live", "Live");
  process();
  shown?.update?.();
  if (first) return;
  const changed = [...model.connectors.values()].filter((it) => before.has(it.name) && before.get(it.name) !== it.state);
  const failed = changed.find((it) => it.state === "FAILED");
  if (failed) tell(`${failed.name} has failed.`, true);
  else if (changed.length === 1) tell(`${changed[0].name} is ${word(changed[0].state).toLowerCase()}.`);
}

async function begin() {
  const stop = new AbortController();
  following = stop;
  by("sign-out").hidden = !session.hasToken();
  link("waiting", "Connecting…");
  route(false);
  const on = { event: take, lost: (reason) => link("lost", reason) };
  try {
    await follow(on, stop.signal);
  } catch (error) {
    if (!(error instanceof session.Unknown)) throw error;
    if (following === stop) askToken(session.hasToken());
  }
}

function askToken(wrong) {
  following?.abort();
  following = null;
  session.keep(null);
  Object.assign(model, new Model());
  field = null;
  by("sign-out").hidden = true;
  by("process").replaceChildren();
  link("out", "Signed out");
  const form = signIn(wrong, (token) => {
    session.keep(token);
    begin();
  });
  display(form);
  document.title = "Sign in · Jackfield";
  form.focus();
}

by("sign-out").addEventListener("click", () => askToken(false));
by("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => {
  if (session.takeFromAddress()) {
    following?.abort();
    begin();
  } else {
    route(true);
  }
});
session.takeFromAddress();
begin();
