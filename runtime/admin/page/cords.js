// The cords between jacks: an SVG over the field, drawn from where the jacks are.

import { arrange, s, say } from "./dom.js";
import { rate } from "./words.js";

/** Colours of cords, as many as style.css has. */
export const COLOURS = 6;
/** With more cords than this none of them moves: it would be restless, and work. */
const MOVING_MAX = 48;
/** How far a cord hangs through, px. */
const SAG_MIN = 10;
const SAG_MAX = 46;
/** Where a label may sit on its cord, from 0 to 1: best near the end, where cords lie apart. */
const LABEL_AT = [0.66, 0.5, 0.8, 0.36];
/** Labels that are nearer to each other than this lie on each other, px. */
const APART = { x: 66, y: 24 };
/** Lanes of the gutter on a phone, and how far they lie apart, px. */
const LANES = 5;
const LANE = 7;
/** Room of a label, px: a digit's width, and around them. */
const DIGIT = 6.6;
const PAD = 9;

export class Cords {
  constructor(svg) {
    this.svg = svg;
    this.wires = s("g", { class: "wires" });
    this.plugs = s("g", { class: "plugs" });
    this.labels = s("g", { class: "labels" });
    svg.append(this.wires, this.plugs, this.labels);
    /** By key: the elements of a cord. */
    this.drawn = new Map();
  }

  /**
   * Draws exactly these cords: `{ key, from, to, colour, connector, topic, flow, live }`, where
   * `from` and `to` are jacks' elements.
   */
  draw(cords, narrow) {
    const frame = this.svg.getBoundingClientRect();
    const labels = [];
    const at = (jack) => {
      const box = jack.getBoundingClientRect();
      return { x: box.left + box.width / 2 - frame.left, y: box.top + box.height / 2 - frame.top };
    };
    const keys = new Set(cords.map((cord) => cord.key));
    for (const key of this.drawn.keys()) if (!keys.has(key)) this.drawn.delete(key);
    const all = cords.map((cord, number) => {
      const parts = this.drawn.get(cord.key) ?? make(cord);
      this.drawn.set(cord.key, parts);
      labels.push(place(parts, at(cord.from), at(cord.to), narrow ? number % LANES : null, labels));
      return parts;
    });
    arrange(this.wires, all.map((parts) => parts.wire));
    arrange(this.plugs, all.flatMap((parts) => parts.plugs));
    arrange(this.labels, narrow ? [] : all.map((parts) => parts.label));
    this.svg.classList.toggle("moving", cords.length <= MOVING_MAX);
    this.tell(cords);
  }

  /** Shows what flows. */
  tell(cords) {
    for (const cord of cords) {
      const parts = this.drawn.get(cord.key);
      if (parts === undefined) continue;
      parts.wire.classList.toggle("dead", !cord.live);
      parts.wire.dataset.speed = cord.live ? speed(cord.flow) : "none";
      for (const plug of parts.plugs) plug.classList.toggle("dead", !cord.live);
      const text = cord.live ? rate(cord.flow) : cord.state;
      parts.label.classList.toggle("dead", !cord.live);
      parts.label.classList.toggle("still", cord.live && !(cord.flow > 0));
      say(parts.text, text);
      const width = Math.round(text.length * DIGIT + 2 * PAD);
      parts.box.setAttribute("x", -width / 2);
      parts.box.setAttribute("width", width);
    }
  }

  /** Brings the cords of one connector or topic to the front; of none: all are equal. */
  point(name) {
    this.svg.classList.toggle("pointed", name !== null);
    for (const parts of this.drawn.values()) {
      const is = parts.ends.includes(name);
      for (const it of [parts.wire, parts.label, ...parts.plugs]) it.classList.toggle("pointed", is);
    }
  }
}

function make(cord) {
  const colour = { "data-colour": cord.colour };
  const lines = ["edge", "core", "shine", "flow"].map((name) => s("path", { class: name }));
  const box = s("rect", { class: "box", y: -11, height: 22, rx: 11 });
  const text = s("text", { y: 4 });
  return {
    ends: [cord.connector, cord.topic],
    lines,
    wire: s("g", { class: "wire", ...colour }, lines),
    plugs: [0, 1].map(() => plug(colour)),
    box,
    text,
    label: s("g", { class: "label", ...colour, "data-wire": cord.key }, box, text),
  };
}

/** A plug that points to the left: its tip is in the jack at 0, 0. */
function plug(colour) {
  return s(
    "g",
    { class: "plug", ...colour },
    s("circle", { class: "tip", r: 3.6 }),
    s("rect", { class: "collar", x: 4, y: -3.6, width: 4, height: 7.2, rx: 1 }),
    s("rect", { class: "body", x: 8, y: -5.5, width: 15, height: 11, rx: 3 }),
  );
}

/** Where a plug ends and its cord begins, px from the jack. */
const PLUG = 21;

/** Puts a cord in its place, and its label where none of `labels` is; gives where that is. */
function place(parts, from, to, lane, labels) {
  const path = lane === null ? across(from, to) : beside(from, to, lane);
  for (const line of parts.lines) line.setAttribute("d", path.d);
  const [first, last] = parts.plugs;
  first.setAttribute("transform", `translate(${from.x} ${from.y}) rotate(${path.turn[0]})`);
  last.setAttribute("transform", `translate(${to.x} ${to.y}) rotate(${path.turn[1]})`);
  const lies = (one) => labels.every((it) => Math.abs(it.x - one.x) > APART.x || Math.abs(it.y - one.y) > APART.y);
  const label = path.labels.find(lies) ?? path.labels[0];
  parts.label.setAttribute("transform", `translate(${label.x} ${label.y})`);
  return label;
}

/** From left to right, hanging through. */
function across(from, to) {
  const [x1, x2] = [from.x + PLUG, to.x - PLUG];
  const length = Math.hypot(x2 - x1, to.y - from.y);
  const sag = Math.min(SAG_MAX, SAG_MIN + length * 0.12);
  const reach = Math.max(24, (x2 - x1) * 0.46);
  const points = [[x1, from.y], [x1 + reach, from.y + sag], [x2 - reach, to.y + sag], [x2, to.y]];
  const d = `M${points[0]}C${points.slice(1).join(" ")}`;
  return { d, turn: [0, 180], labels: LABEL_AT.map((t) => bezier(points, t)) };
}

function bezier(points, t) {
  const weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
  const sum = (axis) => points.reduce((all, point, at) => all + point[axis] * weights[at], 0);
  return { x: sum(0), y: sum(1) };
}

/** Down a lane of the gutter at the left, on a phone. */
function beside(from, to, lane) {
  const x = from.x - PLUG;
  const out = x - 10 - lane * LANE;
  const bend = Math.min(26, Math.abs(to.y - from.y) / 2) * Math.sign(to.y - from.y || 1);
  const turn = (y, towards) => `C${out} ${y} ${out} ${y} ${out} ${y + towards}`;
  const d = `M${x} ${from.y}${turn(from.y, bend)}L${out} ${to.y - bend}C${out} ${to.y} ${out} ${to.y} ${to.x - PLUG} ${to.y}`;
  return { d, turn: [180, 180], labels: [{ x: out, y: (from.y + to.y) / 2 }] };
}

function speed(flow) {
  if (!(flow > 0)) return "none";
  if (flow < 10) return "slow";
  return flow < 1000 ? "steady" : "fast";
}
