import { describe, expect, test } from 'vitest';

import { type Entry, store, stored, unseen } from './outbox';

const entry = (key: string, text: string, after: number, state: Entry['state'] = 'sending'): Entry => ({
  key,
  text,
  after,
  state,
});

function memory() {
  const values = new Map<string, string>();
  return {
    getItem: (key: string) => values.get(key) ?? null,
    setItem: (key: string, value: string) => void values.set(key, value),
    removeItem: (key: string) => void values.delete(key),
  };
}

describe('storage', () => {
  test('keeps what the server does not have', () => {
    const storage = memory();
    store(storage, 'outbox', [entry('a', 'one', 1), entry('b', 'two', 1, 'sent'), entry('c', 'three', 1, 'retrying')]);
    expect(stored(storage, 'outbox')).toEqual([entry('a', 'one', 1, 'retrying'), entry('c', 'three', 1, 'retrying')]);
    store(storage, 'outbox', [entry('a', 'one', 1, 'sent')]);
    expect(storage.getItem('outbox')).toBeNull();
  });

  test.each(['', '{', '{}', '[1, null, {"key": 1}]'])('reads %j as nothing', (text) => {
    const storage = memory();
    storage.setItem('outbox', text);
    expect(stored(storage, 'outbox')).toEqual([]);
  });
});

describe('what is not shown yet', () => {
  const keys = (entries: Entry[]) => entries.map(({ key }) => key);

  test('ends with the turn', () => {
    const entries = [entry('a', 'hello', 3)];
    expect(keys(unseen(entries, [{ seq: 3, text: 'hello' }]))).toEqual(['a']);
    expect(keys(unseen(entries, [{ seq: 4, text: 'hello' }]))).toEqual([]);
    expect(keys(unseen(entries, [{ seq: 4, text: 'other' }]))).toEqual(['a']);
  });

  test('ends one message a turn, the oldest first', () => {
    const entries = [entry('a', 'yes', 3), entry('b', 'yes', 3)];
    expect(keys(unseen(entries, [{ seq: 4, text: 'yes' }]))).toEqual(['b']);
    expect(keys(unseen(entries, [{ seq: 4, text: 'yes' }, { seq: 5, text: 'yes' }]))).toEqual([]);
  });
});
