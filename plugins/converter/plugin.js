// Converts lengths, weights, volumes and temperatures: "how much is 15.6 inches in cm".
import { Failure, handler, say } from "../sdk/js/index.js";
import { UNITS, unitOf } from "./units.js";

const AMOUNT = /([-−]?\d+(?:[.,]\d+)?)\s*(\p{L}+|["°]\p{L}?)/gu;
const WORD = /\p{L}+|°\p{L}/gu;

const TEXTS = {
  en: { unclear: "Tell me what to convert, such as 15.6 inches in cm.", other: (a, b) => `I cannot turn ${a} into ${b}.` },
  ru: { unclear: "Напишите, что перевести, например: 15,6 дюйма в см.", other: (a, b) => `Не могу перевести ${a} в ${b}.` },
};

export const handle = handler((request) => {
  const { decimals = 2 } = request.settings;
  if (!Number.isInteger(decimals)) throw new Failure("settings.decimals is no whole number");
  const language = request.language === "ru" ? "ru" : "en";
  const texts = TEXTS[language];
  const from = amountIn(request.text);
  if (!from) return say(texts.unclear).withValue(null);
  const target = targetIn(request.text.slice(from.end), from.unit) ?? UNITS[UNITS[from.unit].partner];
  const source = UNITS[from.unit];
  if (target.kind !== source.kind) return say(texts.other(source[language], target[language])).withValue(null);

  const result = (from.amount * source.factor + (source.offset ?? 0) - (target.offset ?? 0)) / target.factor;
  const written = (number) => format(number, decimals, language);
  const text = `${written(from.amount)} ${source[language]} = ${written(result)} ${target[language]}`;
  return say(text).withValue({ amount: Number(result.toFixed(decimals)), unit: target.en });
});

/** The first number that a unit follows. */
function amountIn(text) {
  for (const found of text.matchAll(AMOUNT)) {
    const unit = unitOf(found[2]);
    if (unit) {
      const amount = Number(found[1].replace("−", "-").replace(",", "."));
      return { amount, unit, end: found.index + found[0].length };
    }
  }
}

/** The unit that is named after the amount. */
function targetIn(text, source) {
  for (const [word] of text.matchAll(WORD)) {
    const unit = unitOf(word);
    if (unit && unit !== source) return UNITS[unit];
  }
}

function format(number, decimals, language) {
  const text = String(Number(number.toFixed(decimals)));
  return language === "ru" ? text.replace(".", ",") : text;
}
