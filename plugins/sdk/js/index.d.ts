export interface Entity {
  /** Its name in bot.yaml. */
  entity: string;
  /** The canonical value. */
  value: string;
  /** As the user wrote it. */
  text: string;
}

export interface Exchange {
  user: string;
  bot: string;
  intent: string | null;
}

/** What a handler is told of the turn: the same as a script's `ctx`. */
export interface Request<Settings = any, Arguments = any> {
  /** The message, in Unicode NFC. */
  text: string;
  /** The language of the reply: an ISO 639-1 code. */
  language: string;
  intent: string;
  /** 0 to 1 */
  probability: number;
  entities: Entity[];
  /** A slot without a value is `null`. */
  slots: Record<string, any>;
  contexts: string[];
  userId: number;
  dialogId: number;
  /** Up to five earlier exchanges, oldest first. */
  history: Exchange[];
  /** `settings` of bot.yaml. */
  settings: Settings;
  /** What a script gave to `plugin("name", #{…})`; an empty object without it. */
  arguments: Arguments;
}

export class Reply {
  say(text: string, suggestions?: string[]): this;
  suggest(words: string[]): this;
  image(url: string): this;
  payload(value: unknown): this;
  ask(slot: string, text?: string | null): this;
  setSlot(name: string, value: unknown): this;
  setContext(name: string, turns: number): this;
  setLanguage(code: string): this;
  jump(intent: string): this;
  handOff(text?: string | null): this;
  end(): this;
  withValue(value: unknown): this;
}

export class Failure extends Error {
  constructor(message: string, options?: { tell?: string; retryable?: boolean });
}

export function say(text: string, suggestions?: string[]): Reply;
export function ask(slot: string, text?: string): Reply;
export function value(given: unknown): Reply;

/** Makes a function the plugin's handler: `export const handle = handler((request) => …)`. */
export function handler<Settings = any, Arguments = any>(
  answer: (request: Request<Settings, Arguments>) => Reply | string,
): (raw: object) => object;

export interface Time {
  /** Seconds since 1970, UTC. */
  unix: number;
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  /** 1 is Monday, 7 is Sunday. */
  weekday: number;
}

/** The conversation beyond the message. */
export interface Dialogue {
  entities: (Entity & { role?: string; past?: string; start: number; end: number })[];
  /** The forms in progress, the innermost first. */
  frames: { intent: string; slot: string; stage: "slot" | "confirm" | "change" | "resume"; slots: Record<string, any> }[];
  contexts: Record<string, { turns: number; values: Record<string, any> }>;
}

export namespace host {
  /** Needs no grant. */
  function view(): Dialogue;
  /** Needs `allow: { log: true }`. */
  function log(message: string, level?: "debug" | "info" | "warn" | "error"): void;
  /** Needs `allow: { kv: true }`. */
  function kvGet(key: string): any;
  function kvSet(key: string, value: unknown): void;
  /** Needs the host in `allow: { http: […] }`. */
  function httpGet(url: string): { status: number; body: string };
  /** Needs `allow: { clock: true }`. */
  function now(): Time;
  /** Needs `allow: { random: true }`. */
  function random(): number;
  function randomBelow(limit: number): number;
}
