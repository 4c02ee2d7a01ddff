// Figures as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** A count, grouped by thousands. */
export function count(n) {
  return n === null || n === undefined ? "–" : whole.format(n);
}

/** A count in little room. */
export function brief(n) {
  if (n === null || n === undefined) return "–";
  return Math.abs(n) < 100000 ? whole.format(n) : short.format(n);
}

/** Records a second. */
export function rate(perSecond) {
  if (perSecond === null || perSecond === undefined) return "–";
  if (perSecond > 0 && perSecond < 9.95) return `${perSecond < 0.05 ? "<0.1" : perSecond.toFixed(1)}/s`;
  return `${brief(Math.round(perSecond))}/s`;
}

/** Bytes in powers of 1024. */
export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = n < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(n) / 10));
  const value = n / 1024 ** step;
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[step]}`;
}

/** A length of time in ms, with one or two of its units. */
export function time(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** How long ago it was, both in ms since the epoch on the server's clock. */
export function ago(at, now) {
  if (at === null || at === undefined) return "never";
  if (now - at < 1000) return "just now";
  // The largest unit is enough: "18 min" of "18 min 33 s".
  return `${time(now - at).split(" ").slice(0, 2).join(" ")} ago`;
}

/** A moment on the reader's own clock. */
export function moment(ms) {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** Microseconds. */
export function micros(us) {
  if (us === null || us === undefined) return "–";
  return us < 1000 ? `${us}\u00a0µs` : time(us / 1000);
}

/** CPU time in ms. */
export function cpu(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : time(ms);
}
