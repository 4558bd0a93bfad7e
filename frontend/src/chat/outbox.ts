/// Messages on their way. Each has a key, so that the server stores it once however often it is sent, and lies in the
/// browser's storage until the server has it: an item of its own, because other windows have theirs.

/// `sending`: a request is open. `retrying`: it failed and will be sent again. `refused`: it is not sent again on its
/// own. `sent`: the server has it, and its turn is about to come.
export type EntryState = 'sending' | 'retrying' | 'refused' | 'sent';

export interface Entry {
  key: string;
  text: string;
  /// The last turn that was known when the message was written. Its own turn has a greater number.
  after: number;
  /// When it was written, in milliseconds since 1970.
  at: number;
  state: EntryState;
  /// Why it is not sent.
  reason?: string;
}

/// The server knows a key for 24 hours. A message that is older might be stored twice.
export const KEY_LIFE = 23 * 3_600_000;

/// The messages of a dialogue that lie in the storage, the oldest first.
export function stored(storage: Storage, dialogue: number): Entry[] {
  const found: Entry[] = [];
  for (let index = 0; index < storage.length; index++) {
    const place = storage.key(index);
    if (place === null || !place.startsWith(prefix(dialogue))) continue;
    const key = place.slice(prefix(dialogue).length);
    const { text, after, at } = parsed(storage.getItem(place));
    if (typeof text !== 'string' || typeof after !== 'number' || typeof at !== 'number') continue;
    found.push({ key, text, after, at, state: 'retrying' });
  }
  return found.sort((one, other) => one.at - other.at);
}

function parsed(json: string | null): Partial<Entry> {
  try {
    const value: unknown = JSON.parse(json ?? 'null');
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/// Writes down a message that the server does not have yet.
export function store(storage: Storage, dialogue: number, { key, text, after, at }: Entry): void {
  try {
    storage.setItem(prefix(dialogue) + key, JSON.stringify({ text, after, at }));
  } catch {
    // A full or forbidden storage: the message is lost only if the page closes before it is sent.
  }
}

export function forget(storage: Storage, dialogue: number, key: string): void {
  storage.removeItem(prefix(dialogue) + key);
}

function prefix(dialogue: number): string {
  return `banter.outbox.${dialogue}.`;
}

/// The messages whose turn is not shown yet. A turn shows the oldest message with its text that was written before it.
export function unseen(entries: readonly Entry[], turns: readonly { seq: number; text: string }[]): Entry[] {
  const free = [...turns];
  return entries.filter((entry) => {
    const shown = free.findIndex(({ seq, text }) => seq > entry.after && text === entry.text);
    if (shown < 0) return true;
    free.splice(shown, 1);
    return false;
  });
}

/// A key that nobody else has. `crypto.randomUUID` is missing on pages without TLS.
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
