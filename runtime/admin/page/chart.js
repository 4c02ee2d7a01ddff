// A small chart of the last minutes: a line over its area, from nought up.

import { h, s, say } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 48;
/** Points that fill the width, one a second: few at first, then all that are kept. */
const POINTS_MIN = 40;

export class Chart {
  /** `of` takes a point of the history, `tell` words a figure. */
  constructor(title, of, tell) {
    this.of = of;
    this.tell = tell;
    this.line = s("path", { class: "stroke" });
    this.area = s("path", { class: "area" });
    this.value = h("span", { class: "value" }, "–");
    this.top = h("span", { class: "top-of" });
    const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.area, this.line);
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), this.value), svg, this.top);
  }

  update(history) {
    const values = history.map(this.of).filter((value) => value !== null && value !== undefined);
    if (values.length === 0) return;
    const most = Math.max(...values);
    const scale = most > 0 ? (HEIGHT - 4) / most : 0;
    const step = WIDTH / (Math.max(POINTS_MIN, values.length) - 1);
    const from = WIDTH - (values.length - 1) * step;
    const points = values.map((value, at) => `${(from + at * step).toFixed(1)} ${(HEIGHT - 1 - value * scale).toFixed(1)}`);
    this.line.setAttribute("d", `M${points.join("L")}`);
    this.area.setAttribute("d", `M${from.toFixed(1)} ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
    say(this.value, this.tell(values[values.length - 1]));
    say(this.top, `most ${this.tell(most)}`);
  }
}
