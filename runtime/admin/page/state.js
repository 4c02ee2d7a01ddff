// A connector's state as a sign and a word: never by colour alone.

import { h, s } from "./dom.js";

const SHAPES = {
  RUNNING: () => [s("circle", { cx: 6, cy: 6, r: 4.5 })],
  PAUSED: () => [s("rect", { x: 1.5, y: 1.5, width: 3, height: 9 }), s("rect", { x: 7.5, y: 1.5, width: 3, height: 9 })],
  FAILED: () => [s("path", { d: "M2 0.6 6 4.6 10 0.6 11.4 2 7.4 6 11.4 10 10 11.4 6 7.4 2 11.4 0.6 10 4.6 6 0.6 2Z" })],
  RESTARTING: () => [s("path", { class: "line", d: "M10.2 6A4.2 4.2 0 1 1 8.4 2.6M8.6 0.4V3H6" })],
  STOPPED: () => [s("rect", { x: 2, y: 2, width: 8, height: 8 })],
  UNASSIGNED: () => [s("circle", { class: "line", cx: 6, cy: 6, r: 4.2 })],
};

const WORDS = {
  RUNNING: "Running",
  PAUSED: "Paused",
  FAILED: "Failed",
  RESTARTING: "Restarting",
  STOPPED: "Stopped",
  UNASSIGNED: "Not started",
};

export function word(state) {
  return WORDS[state] ?? state;
}

/** A chip that `show` changes. */
export function chip() {
  return h("span", { class: "chip" });
}

export function show(chip, state) {
  if (chip.dataset.state === state) return;
  chip.dataset.state = state;
  const sign = s("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, ...(SHAPES[state] ?? SHAPES.UNASSIGNED)());
  chip.replaceChildren(sign, word(state));
}
