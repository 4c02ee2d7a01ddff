// One connector: what it does, what went wrong, what it is made of, and what can be done about it.

import { Chart } from "./chart.js";
import * as dialogs from "./dialogs.js";
import { h, say } from "./dom.js";
import { call } from "./session.js";
import { chip, show } from "./state.js";
import { Errors, Positions, Settings, Swaps } from "./sections.js";
import { ago, bytes, count, cpu, rate } from "./words.js";

/** Positions move all the time: they are asked for as often, ms. */
const POSITIONS_EVERY = 5000;

export class Connector {
  /** `tell(text, wrong)` says what became of something. */
  constructor(model, name, tell) {
    Object.assign(this, { model, name, tell, busy: false, gone: false, marks: null });
    this.path = `/connectors/${encodeURIComponent(name)}`;
    this.build();
    this.timer = setInterval(() => this.load("positions"), POSITIONS_EVERY);
    this.load("positions");
  }

  get now() {
    return this.model.connectors.get(this.name);
  }

  build() {
    this.chip = chip();
    this.title = h("h1", { tabindex: "-1" }, this.name);
    this.about = h("p", { class: "about" });
    this.trace = h("pre");
    this.alert = h("section", { class: "alert", hidden: true, "aria-label": "What went wrong" }, h("h2", {}, "What went wrong"), this.trace);
    const button = (text, press, kind = "plain") => h("button", { type: "button", class: kind, onclick: press }, text);
    this.pause = button("Pause", () => this.doPause());
    this.resume = button("Resume", () => this.put("resume", "is resumed"), "primary");
    this.restart = button("Restart", () => this.doRestart());
    this.swap = button("Swap…", () => this.doSwap());
    this.figures = {};
    const figure = (key, name) => h("div", { "data-figure": key }, h("dt", {}, name), (this.figures[key] = h("dd", {}, "–")));
    this.sinkOnly = [figure("lag", "Lag"), figure("committed", "Committed"), figure("commit", "Last commit")];
    const figures = [figure("records", "Records"), ...this.sinkOnly, figure("open", "In flight"), figure("cpu", "CPU time"), figure("memory", "Memory")];
    this.charts = [
      new Chart("Records", (it) => it.rate, rate),
      new Chart("CPU", (it) => it.load, (load) => `${(load * 100).toFixed(load > 0 && load < 0.1 ? 1 : 0)} % of a core`),
      new Chart("Memory", (it) => it.memory, bytes),
    ];
    this.sections = { positions: new Positions(), errors: new Errors(), swaps: new Swaps(), settings: new Settings() };
    const { positions, errors, swaps, settings } = this.sections;
    this.body = h(
      "div",
      {},
      h("div", { class: "acts" }, this.pause, this.resume, this.restart, this.swap),
      this.alert,
      h("dl", { class: "figures wide" }, figures),
      h("div", { class: "charts" }, this.charts.map((it) => it.element)),
      h("div", { class: "sections" }, h("div", {}, positions.element, errors.element, swaps.element), h("div", {}, settings.element)),
    );
    this.missing = h("p", { class: "empty", hidden: true }, "There is no connector of this name.");
    this.element = h("div", { class: "connector" }, h("nav", { "aria-label": "Way back" }, h("a", { href: "#/", class: "back" }, "← All connectors")), h("div", { class: "head" }, this.title, this.chip), this.about, this.missing, this.body);
  }

  update() {
    const it = this.now;
    this.missing.hidden = it !== undefined || this.model.at === null;
    this.body.hidden = it === undefined;
    if (it === undefined) return;
    show(this.chip, it.state);
    say(this.about, [`${it.type === "source" ? "Source" : "Sink"} of the pipeline ${it.pipeline}`, version(it)].filter(Boolean).join(" · "));
    // A sink goes on with its other targets when one of them can't be committed to any more.
    const targets = Object.entries(it.failed_targets ?? {}).map(([target, reason]) => `${target} gets no more commits: ${reason}`);
    const wrong = [it.trace, ...targets].filter(Boolean).join("\n");
    this.alert.hidden = wrong === "";
    say(this.trace, wrong);
    this.tellFigures(it);
    for (const chart of this.charts) chart.update(it.history);
    this.tellButtons(it);
    this.reload(it);
  }

  tellFigures(it) {
    const sink = it.type === "sink";
    for (const figure of this.sinkOnly) figure.hidden = !sink;
    say(this.figures.records, count(it.records));
    say(this.figures.lag, count(it.lag));
    say(this.figures.committed, count(it.committed));
    say(this.figures.commit, ago(it.last_commit_ms, this.model.at));
    say(this.figures.open, count(it.open));
    say(this.figures.cpu, cpu(it.cpu_ms));
    say(this.figures.memory, bytes(it.memory_bytes));
  }

  tellButtons(it) {
    const rests = it.state === "PAUSED" || it.state === "STOPPED";
    // One that has the focus is not taken away before the other can have it.
    const moves = document.activeElement === (rests ? this.pause : this.resume);
    this.pause.hidden = rests;
    this.resume.hidden = !rests;
    if (moves) (rests ? this.resume : this.pause).focus();
    this.restart.className = it.state === "FAILED" ? "primary" : "plain";
    for (const button of [this.pause, this.resume, this.restart]) button.setAttribute("aria-disabled", this.busy);
    this.swap.disabled = this.busy || rests || it.state === "FAILED";
    this.swap.title = this.swap.disabled && !this.busy ? "Only what runs can be swapped" : "";
  }

  /** Asks again for what has changed by what the events say. */
  reload(it) {
    const marks = { swaps: JSON.stringify(it.swap), details: JSON.stringify([it.failures, it.plugin]) };
    const before = this.marks ?? {};
    this.marks = marks;
    for (const part of Object.keys(marks)) if (before[part] !== marks[part]) this.load(part);
  }

  async load(part) {
    const { positions, errors, swaps, settings } = this.sections;
    const of = { positions: [positions], swaps: [swaps], details: [errors, settings] };
    const paths = { positions: "/offsets", swaps: "/swaps", details: "/details" };
    try {
      const told = await call("GET", this.path + paths[part]);
      if (!this.gone) for (const section of of[part]) section.show(told);
    } catch (error) {
      const why = error.message || "Not known: the server does not answer.";
      if (!this.gone) for (const section of of[part]) section.fail(why);
    }
  }

  async doPause() {
    const text = `${this.name} finishes what it has taken, then rests until it is resumed. What its topics hold meanwhile waits.`;
    if (await dialogs.confirm({ title: `Pause ${this.name}?`, text, yes: "Pause" })) await this.put("pause", "pauses");
  }

  put(what, done) {
    return this.act(() => call("PUT", `${this.path}/${what}`), `${this.name} ${done}.`);
  }

  async doRestart() {
    const text = `${this.name} ends, and begins anew with what is stored. Nothing is lost; it takes a moment.`;
    if (!(await dialogs.confirm({ title: `Restart ${this.name}?`, text, yes: "Restart" }))) return;
    await this.act(() => call("POST", `${this.path}/restart?includeTasks=true`), `${this.name} restarts.`);
  }

  async doSwap() {
    const chosen = await dialogs.swap({ name: this.name, version: version(this.now) });
    if (!chosen) return;
    const query = `probation-ms=${chosen.probationMs}&dry-run=${chosen.dryRun}`;
    this.tell(`${chosen.file.name} is compiled and checked beside what runs…`);
    await this.act(() => call("POST", `${this.path}/swap?${query}`, { body: chosen.file }), (report) =>
      report.outcome === "prepared" ? `${chosen.file.name} can take over from ${named(report.from)}.` : `${named(report.to)} runs, on probation.`,
    );
    this.load("swaps");
  }

  async act(change, done) {
    if (this.busy) return;
    this.busy = true;
    this.element.setAttribute("aria-busy", "true");
    this.tellButtons(this.now);
    try {
      const answer = await change();
      this.tell(typeof done === "function" ? done(answer) : done);
    } catch (error) {
      this.tell(error.message || "The server does not answer.", true);
    } finally {
      this.busy = false;
      this.element.removeAttribute("aria-busy");
      if (this.now) this.tellButtons(this.now);
    }
  }

  focus() {
    this.title.focus({ preventScroll: true });
  }

  close() {
    this.gone = true;
    clearInterval(this.timer);
  }
}

function version(it) {
  return it?.plugin ? named(it.plugin) : null;
}

function named(version) {
  return `${version.plugin} ${version.version} (${version.sha256.slice(0, 12)})`;
}
