// What is known of the connectors, and the rates that follow from it.

/** A rate is taken over about so many seconds, so that it does not flicker. */
const SMOOTH_SECONDS = 3;
/** Points kept for the small charts: three minutes. */
const HISTORY_MAX = 180;

/** Pulls `before` towards `now` by as much as `seconds` have gone by. */
function smooth(before, now, seconds) {
  if (before === null) return now;
  const mixed = before + (now - before) * (1 - Math.exp(-seconds / SMOOTH_SECONDS));
  return now === 0 && mixed < 0.05 ? 0 : mixed;
}

/** Growth a second, or nothing where the figure began anew. */
function growth(before, now, seconds) {
  if (before === null || before === undefined || now === null || now === undefined) return null;
  return now < before || seconds <= 0 ? null : (now - before) / seconds;
}

export class Model {
  constructor() {
    this.process = null;
    /** ms since the epoch, on the server's clock. */
    this.at = null;
    /** By name: the server's words, and beside them `rate`, `load`, `flows` and `history`. */
    this.connectors = new Map();
  }

  /** Takes an event; what is not in a change is as it was. */
  take(kind, event) {
    if (kind === "snapshot") {
      this.process = event.process;
      const named = new Set(event.connectors.map((it) => it.name));
      for (const name of this.connectors.keys()) if (!named.has(name)) this.connectors.delete(name);
    } else if (kind === "change") {
      for (const name of event.gone) this.connectors.delete(name);
    } else {
      return;
    }
    const seconds = this.at === null ? 0 : (event.at_ms - this.at) / 1000;
    this.at = event.at_ms;
    const told = new Map(event.connectors.map((it) => [it.name, it]));
    for (const [name, before] of this.connectors) this.step(before, told.get(name) ?? before, seconds);
    for (const [name, now] of told) if (!this.connectors.has(name)) this.connectors.set(name, begin(now));
  }

  step(before, now, seconds) {
    if (seconds <= 0) {
      Object.assign(before, now);
      return;
    }
    const rate = growth(before.records, now.records, seconds);
    if (rate !== null) before.rate = smooth(before.rate, rate, seconds);
    const load = growth(before.cpu_ms, now.cpu_ms, seconds);
    if (load !== null) before.load = smooth(before.load, load / 1000, seconds);
    const records = new Map(before.topics.map((it) => [it.name, it.records]));
    for (const topic of now.topics) {
      const flow = growth(records.get(topic.name), topic.records, seconds);
      if (flow !== null) before.flows.set(topic.name, smooth(before.flows.get(topic.name) ?? null, flow, seconds));
    }
    Object.assign(before, now);
    before.history.push({ at: this.at, rate: before.rate, load: before.load, memory: now.memory_bytes, lag: now.lag });
    if (before.history.length > HISTORY_MAX) before.history.shift();
  }

  /** Sources first, each kind by pipeline and name. */
  sorted(type) {
    const all = [...this.connectors.values()].filter((it) => it.type === type);
    return all.sort((a, b) => a.pipeline.localeCompare(b.pipeline) || a.name.localeCompare(b.name));
  }

  /** Records a second over all connectors of a type; null while none is known. */
  total(type) {
    const known = this.sorted(type).filter((it) => it.rate !== null);
    return known.length === 0 ? null : known.reduce((sum, it) => sum + it.rate, 0);
  }
}

function begin(now) {
  return { ...now, rate: null, load: null, flows: new Map(), history: [] };
}

/** Records a second between a connector and one of its topics; null while it is not known. */
export function flow(connector, topic) {
  if (connector.flows.has(topic)) return connector.flows.get(topic);
  return connector.topics.length === 1 ? connector.rate : null;
}
