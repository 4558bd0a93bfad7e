// Lets a plugin run under node: `banter:plugin/…` is answered by `mock`, and a test says what it answers.
//
//   import { mock, request } from "banter-plugin/testing";
//   const { handle } = await import("./plugin.js"); // after testing.js, hence not a static import
import { register } from "node:module";

const hooks = `
  export const resolve = (name, context, next) => {
    const found = /^banter:plugin\\/([a-z]+)@/.exec(name);
    return found ? { url: new URL(found[1] + ".js", ${JSON.stringify(new URL("./testing/", import.meta.url).href)}).href, shortCircuit: true } : next(name, context);
  };`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

export { mock, reset } from "./testing/mock.js";

/** A request of nobody in particular. `slots`, `settings` and `arguments` are given as values. */
export function request(text, { slots = {}, settings = {}, arguments: given, ...rest } = {}) {
  return {
    text,
    language: "en",
    intent: "test",
    probability: 1,
    entities: [],
    slots: Object.entries(slots).map(([name, value]) => ({ name, value: JSON.stringify(value) })),
    contexts: [],
    userId: 2,
    dialogId: 1,
    history: [],
    settings: JSON.stringify(settings),
    arguments: given === undefined ? null : JSON.stringify(given),
    ...rest,
  };
}
