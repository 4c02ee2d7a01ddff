// The parts of a connector's page that are asked for by themselves.

import { h } from "./dom.js";
import { bytes, count, micros, moment, time } from "./words.js";

class Section {
  constructor(title, id) {
    this.body = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": id }, h("p", { class: "none" }, "…"));
    this.element = h("section", { class: "section", "data-section": id }, h("h2", { id }, title), this.body);
    this.last = null;
  }

  /** Shows what was told, unless it is what is shown already. */
  show(told) {
    const text = JSON.stringify(told);
    if (text === this.last) return;
    this.last = text;
    this.body.replaceChildren(...this.render(told));
  }

  fail(message) {
    this.last = null;
    this.none(message);
  }

  none(text) {
    this.body.replaceChildren(h("p", { class: "none" }, text));
  }
}

function table(caption, heads, rows) {
  return h(
    "table",
    {},
    h("caption", { class: "spoken" }, caption),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell))))),
  );
}

function none(text) {
  return [h("p", { class: "none" }, text)];
}

/** JSON on one line, as `key value` where it is a flat object. */
function flat(value) {
  if (value === null || typeof value !== "object") return String(value);
  if (Array.isArray(value)) return JSON.stringify(value);
  return Object.entries(value).map(([key, it]) => `${key} ${typeof it === "object" ? JSON.stringify(it) : it}`).join(", ");
}

export class Positions extends Section {
  constructor() {
    super("Positions", "positions");
  }

  render({ offsets }) {
    if (offsets.length === 0) return none("None is stored yet.");
    if (offsets.every((it) => it.partition.kafka_topic !== undefined)) {
      const rows = offsets.map((it) => [it.partition.kafka_topic, count(it.partition.kafka_partition), count(it.offset?.kafka_offset)]);
      return [table("Positions by partition", ["Topic", "Partition", "Next offset"], rows)];
    }
    return [table("Positions of the source", ["Part", "Position"], offsets.map((it) => [flat(it.partition), h("code", {}, flat(it.offset))]))];
  }
}

export class Errors extends Section {
  constructor() {
    super("Recent errors", "errors");
  }

  render({ failures }) {
    if (failures.length === 0) return none("None since the process started.");
    const newest = [...failures].reverse();
    return newest.map((it, at) => {
      const [first, ...rest] = it.trace.split("\n");
      const head = [h("time", { datetime: new Date(it.at_ms).toISOString() }, moment(it.at_ms)), h("span", { class: "tag" }, it.times > 1 ? `${it.consequence} × ${count(it.times)}` : it.consequence), h("span", { class: "first" }, first)];
      return h("details", { open: at === 0 && rest.length > 0 }, h("summary", {}, head), h("pre", {}, it.trace));
    });
  }
}

const OUTCOMES = { prepared: "checked", "on-probation": "on probation", kept: "kept", "rolled-back": "rolled back" };

export class Swaps extends Section {
  constructor() {
    super("Swap history", "swaps");
  }

  render(swaps) {
    if (swaps.length === 0) return none("It has not been swapped since the process started.");
    const name = (version) => h("span", { title: version.sha256 }, `${version.plugin} ${version.version} `, h("code", {}, version.sha256.slice(0, 8)));
    const rows = [...swaps].reverse().map((it) => {
      const outcome = h("span", { class: "tag", "data-outcome": it.outcome }, OUTCOMES[it.outcome] ?? it.outcome);
      return [moment(it.at_ms), [name(it.from), " → ", name(it.to)], it.by, micros(it.pause_us), it.reason ? [outcome, h("div", { class: "hint" }, it.reason)] : outcome];
    });
    return [table("Swaps, the newest first", ["When", "From → to", "By", "Pause", "Outcome"], rows)];
  }
}

/** Leaves of a tree by their path. */
function leaves(value, path = "") {
  if (value === null || typeof value !== "object") return [[path, String(value)]];
  const plain = Array.isArray(value) && value.every((it) => it === null || typeof it !== "object");
  if (plain) return [[path, value.length === 0 ? "[]" : value.join(", ")]];
  const entries = Array.isArray(value) ? value.map((it, at) => [`[${at}]`, it]) : Object.entries(value).map(([key, it]) => [path === "" ? key : `.${key}`, it]);
  return entries.length === 0 ? [[path, "{}"]] : entries.flatMap(([key, it]) => leaves(it, path + key));
}

export class Settings extends Section {
  constructor() {
    super("Settings", "settings");
  }

  render(details) {
    const list = (entries) => h("dl", { class: "pairs" }, entries.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value))));
    return [list(leaves(details.settings)), h("h3", {}, "How it is run"), list(runs(details))];
  }
}

function runs(it) {
  const topic = (one) => (one.feed && one.feed !== one.name ? `${one.feed} → ${one.name ?? "dropped"}` : one.name);
  return [
    ["declared in", it.declared_in],
    ["delivery", it.delivery],
    ["component", it.file],
    ["memory", it.memory_bytes_max && `at most ${bytes(it.memory_bytes_max)} an instance`],
    ["slots", it.slots_max && `at most ${it.slots_max}`],
    ["tasks", it.tasks],
    ["commit", it.commit && `every ${time(it.commit.every_ms)}, ${count(it.commit.rows)} rows or ${bytes(it.commit.bytes)}`],
    ["bad records", it.on_bad_record],
    ["topics", it.topics.map(topic).join("\n")],
    ["may reach", it.allow.join("\n") || "nothing"],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
}
