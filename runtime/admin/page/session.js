// Who asks: the bearer token lives as long as the tab, and every request carries it.

const KEY = "jackfield.token";
let kept = null;

try {
  kept = sessionStorage.getItem(KEY);
} catch {
  // Storage is switched off: the token is asked for again after a reload.
}

/** The server wants a token, or another one. */
export class Unknown extends Error {}

/** The server said no, and why. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function hasToken() {
  return kept !== null;
}

export function keep(token) {
  kept = token;
  try {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // As above.
  }
}

/** Takes `#token=…` out of the address, where no server sees it and no history keeps it. */
export function takeFromAddress() {
  const given = /^#token=([^&]+)/.exec(location.hash);
  if (!given) return false;
  keep(decodeURIComponent(given[1]));
  history.replaceState(null, "", `${location.pathname}#/`);
  return true;
}

/**
 * A request with the token; the answer's body is still to be read. Without the browser's own credentials:
 * it would ask for them in a window of its own when the server wants a token.
 */
export async function ask(method, path, { body, signal } = {}) {
  const headers = { accept: path === "/events" ? "text/event-stream" : "application/json" };
  if (kept !== null) headers.authorization = `Bearer ${kept}`;
  const answer = await fetch(`.${path}`, { method, headers, body, signal, cache: "no-store", credentials: "omit", redirect: "error" });
  if (answer.ok) return answer;
  if (answer.status === 401) throw new Unknown();
  throw new Refused(answer.status, await why(answer));
}

/** The same, with JSON in the answer or nothing. */
export async function call(method, path, options) {
  const answer = await ask(method, path, options);
  const text = await answer.text();
  return text === "" ? null : JSON.parse(text);
}

async function why(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).message ?? text;
  } catch {
    return text.trim() || `${answer.status} ${answer.statusText}`;
  }
}
