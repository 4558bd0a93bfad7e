// Plugins for banter in JavaScript.
//
//   import { handler, say } from "banter-plugin";
//   export const handle = handler((request) => say(`You said ${request.text}.`));

export * as host from "./host.js";

/** Why there is no reply. `message` is for the log; `tell` is what the user hears. */
export class Failure extends Error {
  constructor(message, { tell, retryable = false } = {}) {
    super(message);
    this.name = "Failure";
    this.tell = tell;
    this.retryable = retryable;
  }
}

/** Effects in order. Each method adds one and gives the reply back. */
export class Reply {
  #effects = [];
  #value = null;

  say(text, suggestions = []) {
    return this.#add("say", { text: String(text), suggestions: suggestions.map(String) });
  }

  /** Quick replies for what was said last. */
  suggest(words) {
    const last = this.#effects.at(-1);
    if (last?.tag !== "say") throw new Failure("suggest(…) follows say(…)");
    last.val.suggestions = words.map(String);
    return this;
  }

  image(url) {
    return this.#add("image", String(url));
  }

  payload(value) {
    return this.#add("payload", json(value));
  }

  /** Asks for a slot of the intent; without a text, in the slot's own words. */
  ask(slot, text = null) {
    return this.#add("ask", { slot, text });
  }

  /** `null` removes it. */
  setSlot(name, value) {
    return this.#add("set-slot", { name, value: json(value) });
  }

  setContext(name, turns) {
    return this.#add("set-context", { name, turns });
  }

  setLanguage(code) {
    return this.#add("set-language", code);
  }

  jump(intent) {
    return this.#add("jump", intent);
  }

  handOff(text = null) {
    return this.#add("hand-off", text);
  }

  end() {
    return this.#add("end");
  }

  /** What `plugin("name", …)` gives back to a script. */
  withValue(value) {
    this.#value = json(value);
    return this;
  }

  #add(tag, val) {
    this.#effects.push(val === undefined ? { tag } : { tag, val });
    return this;
  }

  /** As the contract has it. */
  toContract() {
    return { effects: this.#effects, value: this.#value };
  }
}

export const say = (text, suggestions) => new Reply().say(text, suggestions);
export const ask = (slot, text) => new Reply().ask(slot, text);
/** A reply that says nothing, for scripts. */
export const value = (given) => new Reply().withValue(given);

/** Makes a function `(request) => reply` or `(request) => text` the plugin's handler. */
export function handler(answer) {
  return (raw) => {
    try {
      const reply = answer(readRequest(raw));
      return (reply instanceof Reply ? reply : say(reply)).toContract();
    } catch (error) {
      throw toFailure(error);
    }
  };
}

function readRequest(raw) {
  const slots = Object.fromEntries(raw.slots.map(({ name, value }) => [name, JSON.parse(value)]));
  return { ...raw, slots, settings: JSON.parse(raw.settings), arguments: JSON.parse(raw.arguments ?? "{}") };
}

function toFailure(error) {
  if (error instanceof Failure) {
    return { message: error.message, userText: error.tell ?? null, retryable: error.retryable };
  }
  // Anything else is a mistake of the plugin's author, who wants to know the line.
  const place = String(error?.stack ?? "").split("\n").find((line) => line.trim()) ?? "";
  return { message: `${error} ${place.trim()}`.trim(), userText: null, retryable: false };
}

function json(value) {
  return JSON.stringify(value ?? null);
}
