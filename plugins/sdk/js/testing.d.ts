import type { Dialogue, Time } from "./index.js";

/** What the host answers, and what it was told. */
export const mock: {
  kept: Map<string, string>;
  answers: Map<string, { status: number; body: string }>;
  now: Time;
  unit: number;
  lines: { level: string; message: string }[];
  dialogue: Dialogue;
};
export function reset(): void;
export function request(
  text: string,
  options?: { slots?: Record<string, unknown>; settings?: object; arguments?: object; language?: string; intent?: string },
): object;
