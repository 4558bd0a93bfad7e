import assert from "node:assert/strict";
import { test } from "node:test";

import { request } from "../sdk/js/testing.js";

const { handle } = await import("./plugin.js");

function check(text, expected, language = "en", settings = { decimals: 2 }) {
  assert.equal(handle(request(text, { language, settings })).effects[0].val.text, expected);
}

test("amounts are converted", () => {
  check("how much is 15.6 inches in cm", "15.6 in = 39.62 cm");
  check("convert 3 feet to metres", "3 ft = 0.91 m");
  check("10 km", "10 km = 6.21 mi");
  check("5 lbs to kilograms", "5 lb = 2.27 kg");
  check('a 27" screen', "27 in = 68.58 cm");
  check("98.6 fahrenheit in celsius", "98.6 °F = 37 °C");
  check("-40 °C in °F", "-40 °C = -40 °F");
  check("2 gallons", "2 US gal = 7.57 l");
  check("1 mile to km", "1 mi = 1.609344 km", "en", { decimals: 6 });
});

test("in Russian, with a comma", () => {
  check("сколько будет 15,6 дюйма в сантиметрах", "15,6 дюйм. = 39,62 см", "ru");
  check("переведи 2,5 кг в фунты", "2,5 кг = 5,51 фунт.", "ru");
});

test("what cannot be done is said", () => {
  check("convert it please", "Tell me what to convert, such as 15.6 inches in cm.");
  check("5 kg in metres", "I cannot turn kg into m.");
});

test("scripts get a value", () => {
  const reply = handle(request("1 m in cm", { settings: {} }));
  assert.deepEqual(JSON.parse(reply.value), { amount: 100, unit: "cm" });
});

test("bad settings are a failure with a reason", () => {
  assert.throws(() => handle(request("1 m", { settings: { decimals: 1.5 } })), { message: "settings.decimals is no whole number" });
});
