import assert from "node:assert/strict";
import { test } from "node:test";

import { request } from "../sdk/js/testing.js";

// Imported after testing.js, which mocks the host.
const { handle } = await import("./plugin.js");

test("it says what was said", () => {
  assert.equal(handle(request("hello")).effects[0].val.text, "You said: hello");
});
