// Units with their factor to the base of their kind, the unit they are turned into when none is named, and the words for them: whole
// words, and stems that end in `*`.
export const UNITS = {
  mm: { kind: "length", factor: 0.001, partner: "in", en: "mm", ru: "мм", words: ["mm", "millimet*", "мм", "миллиметр*"] },
  cm: { kind: "length", factor: 0.01, partner: "in", en: "cm", ru: "см", words: ["cm", "centimet*", "см", "сантиметр*"] },
  m: { kind: "length", factor: 1, partner: "ft", en: "m", ru: "м", words: ["m", "meter*", "metre*", "м", "метр*"] },
  km: { kind: "length", factor: 1000, partner: "mi", en: "km", ru: "км", words: ["km", "kilomet*", "км", "километр*"] },
  in: { kind: "length", factor: 0.0254, partner: "cm", en: "in", ru: "дюйм.", words: ['"', "inch*", "дюйм*"] },
  ft: { kind: "length", factor: 0.3048, partner: "m", en: "ft", ru: "фут.", words: ["ft", "foot", "feet", "фут*"] },
  mi: { kind: "length", factor: 1609.344, partner: "km", en: "mi", ru: "миль", words: ["mi", "mile*", "мил*"] },
  g: { kind: "weight", factor: 0.001, partner: "oz", en: "g", ru: "г", words: ["g", "gram*", "г", "грамм*"] },
  kg: { kind: "weight", factor: 1, partner: "lb", en: "kg", ru: "кг", words: ["kg", "kilo", "kilos", "kilogram*", "кг", "кило", "килограмм*"] },
  oz: { kind: "weight", factor: 0.028349523125, partner: "g", en: "oz", ru: "унц.", words: ["oz", "ounce*", "унци*"] },
  lb: { kind: "weight", factor: 0.45359237, partner: "kg", en: "lb", ru: "фунт.", words: ["lb", "lbs", "pound*", "фунт*"] },
  l: { kind: "volume", factor: 1, partner: "gal", en: "l", ru: "л", words: ["l", "liter*", "litre*", "л", "литр*"] },
  gal: { kind: "volume", factor: 3.785411784, partner: "l", en: "US gal", ru: "галл. (США)", words: ["gal", "gallon*", "галлон*"] },
  c: { kind: "temperature", factor: 1, partner: "f", en: "°C", ru: "°C", words: ["°c", "°с", "c", "celsius", "цельси*"] },
  f: { kind: "temperature", factor: 5 / 9, offset: -160 / 9, partner: "c", en: "°F", ru: "°F", words: ["°f", "f", "fahrenheit", "фаренгейт*"] },
};

const EXACT = new Map();
const STEMS = [];
for (const [name, unit] of Object.entries(UNITS)) {
  for (const word of unit.words) {
    if (word.endsWith("*")) STEMS.push([word.slice(0, -1), name]);
    else EXACT.set(word, name);
  }
}

/** The name of the unit that a word stands for. */
export function unitOf(word) {
  const folded = word.toLowerCase();
  return EXACT.get(folded) ?? STEMS.find(([stem]) => folded.startsWith(stem))?.[1];
}
