/// Server-sent events over `fetch`, which can carry a token; the browser's own `EventSource` cannot.
import { EventSourceParserStream, type EventSourceMessage } from 'eventsource-parser/stream';

import type { Fetch } from './client';

/// Waits between connections, in milliseconds.
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
/// The server says something at least every 15 seconds. After this time without a word the connection is dead.
const SILENCE = 40_000;

export interface Following {
  url: URL;
  send: Fetch;
  /// The id of the last event that the page knows.
  last: () => string;
  onEvent: (event: EventSourceMessage) => void;
  onState: (connected: boolean) => void;
  /// The server will not tell more: nobody is signed in, or the dialogue is gone.
  onEnd: (status: number) => void;
  signal: AbortSignal;
}

/// Follows a stream until the signal aborts, and connects again whenever the connection is lost.
export async function follow(following: Following): Promise<void> {
  const { signal, onState, onEnd } = following;
  let wait = FIRST_WAIT;
  while (!signal.aborted) {
    const outcome = await once(following, () => {
      wait = FIRST_WAIT;
      onState(true);
    });
    if (signal.aborted) return;
    if (outcome !== undefined && outcome >= 400 && outcome < 500 && outcome !== 429) {
      onEnd(outcome);
      return;
    }
    onState(false);
    await pause(wait * (0.5 + Math.random()), signal);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/// One connection. Returns the status when the server refuses it.
async function once({ url, send, last, onEvent, signal }: Following, opened: () => void): Promise<number | undefined> {
  const dead = new AbortController();
  const stop = () => dead.abort();
  signal.addEventListener('abort', stop);
  let timer = setTimeout(stop, SILENCE);
  try {
    const headers = { Accept: 'text/event-stream', 'Last-Event-ID': last() };
    const response = await send(new Request(url, { headers, signal: dead.signal, cache: 'no-store' }));
    if (!response.ok || response.body === null) return response.status;
    opened();
    const alive = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        clearTimeout(timer);
        timer = setTimeout(stop, SILENCE);
        controller.enqueue(chunk);
      },
    });
    const text = new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>;
    const events = response.body.pipeThrough(alive).pipeThrough(text).pipeThrough(new EventSourceParserStream());
    const reader = events.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      onEvent(value);
    }
  } catch {
    // The connection is lost; the caller opens another.
    return undefined;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

/// Ends early when the signal aborts or the browser is online again.
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      removeEventListener('online', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end);
    addEventListener('online', end);
  });
}
