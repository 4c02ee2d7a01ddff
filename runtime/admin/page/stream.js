// Server-sent events by fetch, since an EventSource sends no token.

import { Unknown, ask } from "./session.js";

/** The server says something every second: after so long in silence, ms, the connection is dead. */
const SILENCE_MAX = 15000;
/** Between tries, ms: doubled from the first to the last. */
const AGAIN_FIRST = 500;
const AGAIN_LAST = 8000;
/** More than a snapshot of some thousand connectors, characters: such an event is not ours. */
const EVENT_MAX = 32 * 1024 * 1024;

/**
 * Follows the events until `signal`, and begins anew when they break off.
 * `on.event(kind, data)`, `on.lost(reason)`; throws only when a token is wanted.
 */
export async function follow(on, signal) {
  let wait = AGAIN_FIRST;
  while (!signal.aborted) {
    try {
      await once((kind, data) => {
        wait = AGAIN_FIRST;
        on.event(kind, data);
      }, signal);
      on.lost("The server has ended the connection.");
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Unknown) throw error;
      on.lost(error.status ? error.message : "The server does not answer.");
    }
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, AGAIN_LAST);
  }
}

async function once(take, signal) {
  const silence = new AbortController();
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MAX);
  };
  heard();
  try {
    const answer = await ask("GET", "/events", { signal: AbortSignal.any([signal, silence.signal]) });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      if (rest.length > EVENT_MAX) throw new Error("an event is too large");
      blocks.forEach((block) => dispatch(block, take));
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

function dispatch(block, take) {
  let kind = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (data.length > 0) take(kind, JSON.parse(data.join("\n")));
}
