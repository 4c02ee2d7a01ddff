// The jackfield: sources at the left, topics in the middle, sinks at the right, cords between them.

import { COLOURS, Cords } from "./cords.js";
import { arrange, h, s, say } from "./dom.js";
import { flow } from "./model.js";
import { chip, show, word } from "./state.js";
import { brief, count, rate } from "./words.js";

/** Below this width, px, the columns stand above each other; style.css has the same figure. */
const NARROW = "(max-width: 720px)";

export class Field {
  constructor(model) {
    this.model = model;
    this.panels = new Map();
    this.cords = [];
    this.shape = null;
    this.wanted = "";
    this.narrow = matchMedia(NARROW);
    this.build();
    this.watch();
  }

  build() {
    this.figures = h("dl", { class: "figures" });
    this.filter = h("input", { type: "search", id: "filter", autocomplete: "off", spellcheck: "false", oninput: () => this.search() });
    const search = h("p", { class: "search" }, h("label", { for: "filter" }, "Find"), this.filter);
    this.bays = ["Sources", "Topics", "Sinks"].map((title) => {
      const id = `bay-${title.toLowerCase()}`;
      const list = h("ul", { class: "jacks-of", "aria-labelledby": id });
      const none = h("p", { class: "none" }, `No ${title.toLowerCase()}`);
      return { list, none, section: h("section", { class: "bay" }, h("h2", { id }, title), list, none) };
    });
    const svg = s("svg", { class: "cords", "aria-hidden": "true" });
    this.rack = h("div", { class: "rack" }, this.bays.map((bay) => bay.section), svg);
    this.lines = new Cords(svg);
    this.empty = h(
      "div",
      { class: "empty", hidden: true },
      h("p", {}, "Nothing is plugged in."),
      h("p", {}, "Declare a pipeline in the file that ", h("code", {}, "jackfield run"), " was given, or make a connector over REST: it appears here."),
    );
    this.title = h("h1", { tabindex: "-1" }, "Connectors");
    this.element = h("div", { class: "overview" }, h("div", { class: "head" }, this.title, this.figures, search), this.rack, this.empty);
  }

  watch() {
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.rack);
    this.narrow.addEventListener("change", () => this.draw());
    const point = (event) => this.point(event.target.closest?.(".panel"));
    this.rack.addEventListener("pointerover", point);
    this.rack.addEventListener("focusin", point);
    this.rack.addEventListener("pointerleave", () => this.point(null));
    this.rack.addEventListener("focusout", () => this.point(null));
  }

  point(panel) {
    this.lines.point(panel?.dataset.name ?? null);
  }

  search() {
    this.wanted = this.filter.value.trim().toLowerCase();
    this.update();
  }

  /** Those that the filter lets through, by what is shown of them. */
  shown(type) {
    const says = (it) => [it.name, it.pipeline, word(it.state), it.plugin?.plugin, ...it.topics.map((topic) => topic.name)];
    const all = this.model.sorted(type);
    if (this.wanted === "") return all;
    return all.filter((it) => says(it).some((text) => text?.toLowerCase().includes(this.wanted)));
  }

  update() {
    const sources = this.shown("source");
    const sinks = untangled(sources, this.shown("sink"));
    const links = [...sources, ...sinks].flatMap((it) => it.topics.map((topic) => ({ connector: it, topic: topic.name })));
    const shape = JSON.stringify(links.map((it) => [it.connector.name, it.topic]).concat([[...sources, ...sinks].map((it) => it.name)]));
    this.colours(sources, sinks);
    if (shape !== this.shape) {
      this.shape = shape;
      this.plug(sources, sinks, links);
    }
    for (const it of [...sources, ...sinks]) this.tellConnector(it);
    this.tellTopics(links);
    this.tellCords();
    this.tellFigures();
    this.empty.hidden = this.model.connectors.size > 0 || this.model.at === null;
    this.rack.hidden = this.model.connectors.size === 0;
  }

  /** One colour a pipeline, the same for as long as pipelines stay. */
  colours(sources, sinks) {
    const pipelines = [...new Set([...this.model.connectors.values()].map((it) => it.pipeline))].sort();
    this.colour = (it) => pipelines.indexOf(it.pipeline) % COLOURS;
    for (const it of [...sources, ...sinks]) this.panels.get(it.name)?.element.setAttribute("data-colour", this.colour(it));
  }

  plug(sources, sinks, links) {
    const topics = [...new Set(links.map((it) => it.topic))];
    const before = this.panels;
    this.panels = new Map();
    const keep = (key, make) => {
      const panel = before.get(key) ?? make();
      this.panels.set(key, panel);
      return panel;
    };
    const panels = [
      sources.map((it) => keep(it.name, () => connectorPanel(it))),
      topics.map((name) => keep(`topic ${name}`, () => topicPanel(name))),
      sinks.map((it) => keep(it.name, () => connectorPanel(it))),
    ];
    this.bays.forEach((bay, at) => {
      arrange(bay.list, panels[at].map((panel) => panel.item));
      bay.none.hidden = panels[at].length > 0;
    });
    for (const panel of this.panels.values()) panel.jacks = { in: [], out: [] };
    this.cords = links.map(({ connector, topic }) => {
      const [own, other] = [this.panels.get(connector.name), this.panels.get(`topic ${topic}`)];
      const source = connector.type === "source";
      const [from, to] = source ? [own, other] : [other, own];
      return { key: `${connector.name} ${topic}`, connector: connector.name, topic, from: jack(from, "out"), to: jack(to, "in"), colour: this.colour(connector) };
    });
    for (const panel of this.panels.values()) {
      panel.left.replaceChildren(...panel.jacks.in);
      panel.right.replaceChildren(...panel.jacks.out);
      panel.element.style.setProperty("--in", panel.jacks.in.length);
      panel.element.style.setProperty("--out", panel.jacks.out.length);
    }
    for (const it of [...sources, ...sinks]) this.panels.get(it.name).element.setAttribute("data-colour", this.colour(it));
    this.draw();
  }

  draw() {
    this.tellCords(true);
  }

  tellCords(anew = false) {
    for (const cord of this.cords) {
      const connector = this.model.connectors.get(cord.connector);
      if (connector === undefined) continue;
      cord.live = connector.state === "RUNNING";
      cord.state = word(connector.state);
      cord.flow = flow(connector, cord.topic);
    }
    if (anew && this.rack.isConnected) this.lines.draw(this.cords, this.narrow.matches);
    else this.lines.tell(this.cords);
  }

  tellConnector(it) {
    const panel = this.panels.get(it.name);
    show(panel.chip, it.state);
    panel.element.dataset.state = it.state;
    say(panel.plugin, it.plugin ? `${it.plugin.plugin} ${it.plugin.version}` : it.pipeline);
    say(panel.rate, rate(it.rate));
    const beside = it.type === "sink" ? `lag ${brief(it.lag)}` : brief(it.records);
    say(panel.beside, beside);
    const verb = it.type === "source" ? "writes to" : "reads";
    say(panel.spoken, it.topics.length === 0 ? "" : `${verb} ${it.topics.map((topic) => topic.name).join(", ")}`);
  }

  tellTopics(links) {
    const flows = new Map();
    for (const { connector, topic } of links) {
      const sums = flows.get(topic) ?? { in: null, out: null };
      const side = connector.type === "source" ? "in" : "out";
      const more = flow(connector, topic);
      if (more !== null) sums[side] = (sums[side] ?? 0) + more;
      flows.set(topic, sums);
    }
    for (const [topic, sums] of flows) {
      const panel = this.panels.get(`topic ${topic}`);
      say(panel.in, rate(sums.in));
      say(panel.out, rate(sums.out));
    }
  }

  tellFigures() {
    const states = new Map();
    for (const it of this.model.connectors.values()) states.set(it.state, (states.get(it.state) ?? 0) + 1);
    const figure = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
    const told = [
      ["In", rate(this.model.total("source"))],
      ["Out", rate(this.model.total("sink"))],
      ["Running", `${count(states.get("RUNNING") ?? 0)} of ${count(this.model.connectors.size)}`],
      ...["FAILED", "RESTARTING", "PAUSED", "STOPPED"].filter((it) => states.has(it)).map((it) => [word(it), count(states.get(it))]),
    ];
    const now = JSON.stringify(told);
    if (now === this.told) return;
    this.told = now;
    this.figures.replaceChildren(...told.map(([name, value]) => figure(name, value)));
  }

  /** The connector's panel has the focus, or the field's title. */
  focus(name) {
    (this.panels.get(name)?.link ?? this.title).focus({ preventScroll: name === null });
  }
}

/** Sinks in the order of the topics that they read, so that few cords cross. */
function untangled(sources, sinks) {
  const order = new Map();
  for (const it of [...sources, ...sinks]) for (const topic of it.topics) if (!order.has(topic.name)) order.set(topic.name, order.size);
  const middle = (it) => it.topics.reduce((sum, topic) => sum + order.get(topic.name), 0) / Math.max(1, it.topics.length);
  return [...sinks].sort((a, b) => middle(a) - middle(b));
}

function jack(panel, side) {
  const jack = h("span", { class: "jack" });
  panel.jacks[side].push(jack);
  return jack;
}

function connectorPanel({ name, type, pipeline }) {
  const [left, right] = [h("span", { class: "side left" }), h("span", { class: "side right" })];
  const panel = { left, right, chip: chip(), plugin: h("span", { class: "under" }), rate: h("span", { class: "rate" }), beside: h("span", { class: "under" }), spoken: h("span", { class: "spoken" }) };
  panel.link = h("a", { href: `#/connectors/${encodeURIComponent(name)}`, class: "name" }, name);
  panel.element = h(
    "div",
    { class: `panel ${type}`, "data-name": name, title: `${name}, of the pipeline ${pipeline}` },
    left,
    h("div", { class: "line" }, panel.link, panel.rate),
    h("div", { class: "line" }, panel.plugin, panel.beside),
    panel.chip,
    panel.spoken,
    right,
  );
  panel.item = h("li", {}, panel.element);
  return panel;
}

function topicPanel(name) {
  const [left, right] = [h("span", { class: "side left" }), h("span", { class: "side right" })];
  const panel = { left, right, in: h("span", { class: "in" }), out: h("span", { class: "out" }) };
  panel.element = h(
    "div",
    { class: "panel topic", "data-name": name },
    left,
    h("div", { class: "line" }, h("span", { class: "name" }, name)),
    h("div", { class: "line under" }, h("span", {}, "in ", panel.in), h("span", {}, "out ", panel.out)),
    right,
  );
  panel.item = h("li", {}, panel.element);
  return panel;
}
