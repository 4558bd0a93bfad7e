// The host's functions. Each works as far as `allow` of bot.yaml grants it. Without the grant it throws, or the call
// ends.
import * as clock from "banter:plugin/clock@1.1.0";
import * as dialogue from "banter:plugin/dialogue@1.1.0";
import * as http from "banter:plugin/http@1.1.0";
import * as kv from "banter:plugin/kv@1.1.0";
import * as logging from "banter:plugin/log@1.1.0";
import * as chance from "banter:plugin/random@1.1.0";

export const log = (message, level = "info") => logging.log(level, String(message));

export function kvGet(key) {
  const text = kv.get(key);
  return text == null ? undefined : JSON.parse(text);
}

export const kvSet = (key, value) => kv.set(key, JSON.stringify(value ?? null));

export const httpGet = (url) => http.get(url);

export const now = () => clock.now();

export const random = () => chance.unit();

export const randomBelow = (limit) => chance.below(limit);

/** The conversation beyond the message: `entities` with their roles, `frames` and `contexts`. Needs no grant. */
export const view = () => JSON.parse(dialogue.view());
