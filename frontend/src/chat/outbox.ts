/// Messages on their way. Each has a key, so that the server stores it once however often it is sent, and lies in the
/// browser's storage until the server has it.

/// `sending`: a request is open. `retrying`: it failed and will be sent again. `refused`: the server will not take it.
/// `sent`: the server has it, and its turn is about to come.
export type EntryState = 'sending' | 'retrying' | 'refused' | 'sent';

export interface Entry {
  key: string;
  text: string;
  /// The last turn that was known when the message was written. Its own turn has a greater number.
  after: number;
  state: EntryState;
  /// Why the server refuses it.
  reason?: string;
}

export type Storage = Pick<globalThis.Storage, 'getItem' | 'setItem' | 'removeItem'>;

/// The messages that lie in the storage, the oldest first.
export function stored(storage: Storage, place: string): Entry[] {
  try {
    const entries: unknown = JSON.parse(storage.getItem(place) ?? '[]');
    if (!Array.isArray(entries)) return [];
    return entries.filter(isStored).map(({ key, text, after }) => ({ key, text, after, state: 'retrying' }));
  } catch {
    return [];
  }
}

function isStored(entry: unknown): entry is Entry {
  const { key, text, after } = (entry ?? {}) as Partial<Entry>;
  return typeof key === 'string' && typeof text === 'string' && typeof after === 'number';
}

/// Writes down what the server does not have yet.
export function store(storage: Storage, place: string, entries: readonly Entry[]): void {
  const open = entries.filter(({ state }) => state === 'sending' || state === 'retrying');
  try {
    if (open.length === 0) storage.removeItem(place);
    else storage.setItem(place, JSON.stringify(open.map(({ key, text, after }) => ({ key, text, after }))));
  } catch {
    // A full or forbidden storage: the message is lost only if the page closes before it is sent.
  }
}

/// The messages whose turn is not shown yet. A turn shows the oldest message with its text that was written before it.
export function unseen(entries: readonly Entry[], turns: readonly { seq: number; text: string }[]): Entry[] {
  const free = [...turns];
  return entries.filter((entry) => {
    const shown = free.findIndex(({ seq, text }) => seq > entry.after && text === entry.text);
    if (shown < 0) return true;
    free.splice(shown, 1);
    return entry.state === 'refused';
  });
}
