/// One dialogue as the page shows it: its turns, the messages on their way, and whether the bot or a person is to answer.
import { type Api, type Fetch, type Turn, expect, Refused } from '../api/client';
import { follow, pause } from '../api/stream';
import { type Entry, forget, KEY_LIFE, newKey, store, stored, unseen } from './outbox';

/// Turns that are loaded at a time.
const PAGE = 30;
/// Waits before a message is sent again, in milliseconds.
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 20_000;
/// A turn that the stream has not brought by then is fetched, in milliseconds.
const STREAM_WAIT = 2_000;

export interface Line {
  api: Api;
  root: URL;
  send: Fetch;
  storage: Storage;
  /// Why a message of an earlier day is not sent on its own.
  tooOld: string;
  /// Nobody is signed in any more.
  onSignedOut: () => void;
}

export class Conversation {
  turns = $state<Turn[]>([]);
  entries = $state<Entry[]>([]);
  /// A person or the external AI is to answer.
  waiting = $state(false);
  connected = $state(true);
  /// Whether there are turns before those that are loaded.
  hasEarlier = $state(false);
  loaded = $state(false);
  failed = $state(false);
  /// Whether the dialogue is gone: deleted in another window.
  gone = $state(false);

  /// The messages whose turn is not shown yet.
  readonly pending = $derived(unseen(this.entries, this.turns));
  /// Whether the bot is at work.
  readonly typing = $derived(!this.waiting && this.pending.some(({ state }) => state === 'sending'));

  readonly #stop = new AbortController();
  #sending = false;

  constructor(
    readonly line: Line,
    readonly dialogue: number,
  ) {}

  /// Loads the last turns, sends what an earlier page has left, and follows what happens.
  async open(): Promise<void> {
    this.entries = stored(this.line.storage, this.dialogue);
    this.failed = false;
    try {
      await this.#load();
    } catch (error) {
      this.failed = !this.#ends(error);
      return;
    }
    this.#retire();
    this.loaded = true;
    void this.#work();
    const { root, send } = this.line;
    void follow({
      url: new URL(`dialogs/${this.dialogue}/events`, root),
      send,
      last: () => String(this.#lastSeq),
      onEvent: ({ event, data }) => {
        if (event === 'message') this.#add([JSON.parse(data) as Turn]);
        if (event === 'flag') this.waiting = (JSON.parse(data) as { content: boolean }).content;
      },
      onState: (connected) => (this.connected = connected),
      onEnd: (status) => this.#ends(new Refused(status, undefined, undefined)),
      signal: this.#stop.signal,
    });
  }

  /// Stops following. What is not sent stays in the storage.
  close(): void {
    this.#stop.abort();
  }

  say(text: string): void {
    const said = text.trim();
    if (said === '') return;
    const state = this.#open.some((entry) => entry.state === 'retrying') ? 'retrying' : 'sending';
    const entry: Entry = { key: newKey(), text: said, after: this.#lastSeq, at: Date.now(), state };
    this.entries.push(entry);
    store(this.line.storage, this.dialogue, entry);
    void this.#work();
  }

  /// Forgets a message that is not sent.
  discard(key: string): void {
    this.entries = this.entries.filter((entry) => entry.key !== key);
    forget(this.line.storage, this.dialogue, key);
  }

  /// What the server does not have yet, the oldest first.
  get unsent(): string[] {
    return this.#open.map(({ text }) => text);
  }

  /// Does not send what is so old that the server may have forgotten its key: it may be there already.
  #retire(): void {
    const missing = new Set(this.pending.map(({ key }) => key));
    for (const { key, at } of [...this.entries]) {
      if (at > Date.now() - KEY_LIFE) continue;
      const entry = this.entries.find((one) => one.key === key);
      if (!missing.has(key)) this.discard(key);
      else if (entry) Object.assign(entry, { state: 'refused', reason: this.line.tooOld });
    }
  }

  async loadEarlier(): Promise<void> {
    const first = this.turns[0]?.seq;
    if (first === undefined || !this.hasEarlier) return;
    try {
      const page = await this.#page(first);
      this.hasEarlier = (page.turns[0]?.seq ?? 1) > 1;
      this.#add(page.turns);
    } catch (error) {
      this.#ends(error);
    }
  }

  get #lastSeq(): number {
    return this.turns.at(-1)?.seq ?? 0;
  }

  /// The messages that the server does not have yet.
  get #open(): Entry[] {
    return this.entries.filter(({ state }) => state === 'sending' || state === 'retrying');
  }

  #page(before?: number) {
    const query = before === undefined ? { limit: PAGE } : { limit: PAGE, before };
    return expect(
      this.line.api.GET('/dialogs/{id}/turns', { params: { path: { id: this.dialogue }, query } }),
    );
  }

  async #load(): Promise<void> {
    const page = await this.#page();
    const known = this.turns.length > 0;
    if (known && (page.turns[0]?.seq ?? 0) > this.#lastSeq + 1) this.turns = [];
    if (!known || this.turns.length === 0) this.hasEarlier = (page.turns[0]?.seq ?? 1) > 1;
    this.#add(page.turns);
    this.waiting = page.waiting;
  }

  /// Adds turns at their places; a turn that is known is not added again.
  #add(turns: Turn[]): void {
    const known = new Set(this.turns.map(({ seq }) => seq));
    const fresh = turns.filter(({ seq, text, response }) => !known.has(seq) && (text !== '' || response !== ''));
    if (fresh.length === 0) return;
    this.turns = [...this.turns, ...fresh].sort((one, other) => one.seq - other.seq);
    // What the server has and the page shows need not be remembered.
    const left = new Set(unseen(this.entries, this.turns).map(({ key }) => key));
    this.entries = this.entries.filter(({ key, state }) => state !== 'sent' || left.has(key));
  }

  #fetchIfUnseen(key: string): void {
    const missing = this.pending.some((entry) => entry.key === key);
    if (missing && !this.#stop.signal.aborted) this.#load().catch(() => undefined);
  }

  /// Sends the messages one after another, in their order. One that cannot be sent holds up those behind it.
  async #work(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    let wait = FIRST_WAIT;
    for (;;) {
      const entry = this.#open[0];
      if (entry === undefined || this.#stop.signal.aborted) break;
      try {
        entry.state = 'sending';
        await this.#post(entry);
        entry.state = 'sent';
        wait = FIRST_WAIT;
        forget(this.line.storage, this.dialogue, entry.key);
        // The turn comes by the stream. If it does not, it is fetched.
        setTimeout(() => this.#fetchIfUnseen(entry.key), this.connected ? STREAM_WAIT : 0);
      } catch (error) {
        if (this.#ends(error)) break;
        if (error instanceof Refused && !error.passes) {
          entry.state = 'refused';
          entry.reason = error.message;
          forget(this.line.storage, this.dialogue, entry.key);
          continue;
        }
        for (const held of this.#open) held.state = 'retrying';
        const asked = error instanceof Refused ? (error.retryAfter ?? 0) * 1_000 : 0;
        await pause(Math.max(wait, asked), this.#stop.signal);
        wait = Math.min(wait * 2, LONGEST_WAIT);
      }
    }
    this.#sending = false;
  }

  async #post({ key, text }: Entry): Promise<void> {
    await expect(
      this.line.api.POST('/messages/send', {
        params: { header: { 'Idempotency-Key': key } },
        body: { text, dialog_id: this.dialogue },
        signal: this.#stop.signal,
      }),
    );
  }

  /// Whether an error ends the conversation: nobody is signed in, or the dialogue is gone.
  #ends(error: unknown): boolean {
    if (!(error instanceof Refused)) return false;
    if (error.status === 401) this.line.onSignedOut();
    else if (error.status === 404 || error.problem?.code === 'foreign_dialog') this.gone = true;
    else return false;
    this.close();
    return true;
  }
}
