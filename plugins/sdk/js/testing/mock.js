export const mock = {};

export function reset() {
  Object.assign(mock, {
    kept: new Map(),
    answers: new Map(),
    now: { unix: 1767603600, year: 2026, month: 1, day: 5, hour: 9, minute: 0, second: 0, weekday: 1 },
    unit: 0.5,
    lines: [],
    dialogue: { entities: [], frames: [], contexts: {} },
  });
}

reset();
