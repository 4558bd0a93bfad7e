import assert from "node:assert/strict";
import { test } from "node:test";

import { mock, request, reset } from "./testing.js";

const { Failure, Reply, ask, handler, host, say, value } = await import("./index.js");

test("a reply is effects in order", () => {
  const reply = say("hi").suggest(["a"]).image("u").payload({ n: 1 }).ask("city").setSlot("x", null).setContext("c", 2);
  reply.setLanguage("ru").jump("bye").handOff().end().withValue([1]);
  assert.deepEqual(reply.toContract(), {
    effects: [
      { tag: "say", val: { text: "hi", suggestions: ["a"] } },
      { tag: "image", val: "u" },
      { tag: "payload", val: '{"n":1}' },
      { tag: "ask", val: { slot: "city", text: null } },
      { tag: "set-slot", val: { name: "x", value: "null" } },
      { tag: "set-context", val: { name: "c", turns: 2 } },
      { tag: "set-language", val: "ru" },
      { tag: "jump", val: "bye" },
      { tag: "hand-off", val: null },
      { tag: "end" },
    ],
    value: "[1]",
  });
  assert.equal(ask("city").toContract().effects[0].tag, "ask");
  assert.equal(value(1).toContract().value, "1");
  assert.throws(() => new Reply().suggest(["a"]), Failure);
});

test("a request is read, and a text is a reply", () => {
  const handle = handler((r) => `${r.slots.city} ${r.settings.n} ${r.arguments.a}`);
  const raw = request("", { slots: { city: "Kazan" }, settings: { n: 1 }, arguments: { a: 2 } });
  assert.equal(handle(raw).effects[0].val.text, "Kazan 1 2");
});

test("failures are told, mistakes too", () => {
  const failing = (error) => {
    try {
      handler(() => { throw error; })(request(""));
    } catch (failure) {
      return failure;
    }
  };
  const told = failing(new Failure("m", { tell: "sorry", retryable: true }));
  assert.deepEqual(told, { message: "m", userText: "sorry", retryable: true });
  assert.match(failing(new TypeError("boom")).message, /TypeError: boom/);
});

test("the host is the mock", () => {
  reset();
  mock.answers.set("https://x.example/", { status: 200, body: "ok" });
  host.kvSet("n", { a: 1 });
  host.log("line", "warn");
  assert.deepEqual([host.kvGet("n"), host.kvGet("m")], [{ a: 1 }, undefined]);
  assert.deepEqual(mock.lines, [{ level: "warn", message: "line" }]);
  assert.equal(host.httpGet("https://x.example/").body, "ok");
  assert.throws(() => host.httpGet("https://y.example/"));
  assert.deepEqual([host.now().weekday, host.random(), host.randomBelow(10)], [1, 0.5, 5]);
});
