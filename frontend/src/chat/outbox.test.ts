import { describe, expect, test } from 'vitest';

import { type Entry, forget, newKey, store, stored, unseen } from './outbox';

const entry = (key: string, text: string, after: number, at = 0): Entry => ({ key, text, after, at, state: 'retrying' });

function memory(): Storage {
  const values = new Map<string, string>();
  return {
    get length() {
      return values.size;
    },
    key: (index) => [...values.keys()][index] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
    clear: () => values.clear(),
  };
}

describe('storage', () => {
  test('keeps each message until it is forgotten, whatever other windows and dialogues keep', () => {
    const storage = memory();
    store(storage, 7, entry('b', 'two', 1, 20));
    store(storage, 7, entry('a', 'one', 1, 10));
    store(storage, 70, entry('c', 'elsewhere', 1, 30));
    expect(stored(storage, 7)).toEqual([entry('a', 'one', 1, 10), entry('b', 'two', 1, 20)]);
    forget(storage, 7, 'a');
    expect(stored(storage, 7)).toEqual([entry('b', 'two', 1, 20)]);
    expect(stored(storage, 70)).toEqual([entry('c', 'elsewhere', 1, 30)]);
  });

  test.each(['', '{', '[]', '7', '{"text": 1}'])('reads %j as nothing', (text) => {
    const storage = memory();
    storage.setItem('banter.outbox.7.a', text);
    expect(stored(storage, 7)).toEqual([]);
  });
});

test('keys differ, and are what the server takes', () => {
  const [one, other] = [newKey(), newKey()];
  expect(one).toMatch(/^[0-9a-f]{32}$/);
  expect(one).not.toBe(other);
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
