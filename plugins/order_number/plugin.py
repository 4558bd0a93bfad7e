"""Checks a shop's long order numbers by their last digit (Luhn, ISO/IEC 7812-1 annex B), and says which slip of the finger it may be."""

from __future__ import annotations

from banter_plugin import Failure, Reply, Request

TEXTS = {
    "en": {
        "right": "{number} is a valid order number.",
        "length": "An order number has {length} digits, yours has {count}. Could you look again?",
        "swapped": "{number} has a typo. Did you swap two digits? {guess} would be right.",
        "wrong": "{number} has a typo: its check digit does not fit. Could you look again?",
    },
    "ru": {
        "right": "{number} — верный номер заказа.",
        "length": "В номере заказа {length} цифр, а в вашем — {count}. Проверьте, пожалуйста.",
        "swapped": "В номере {number} опечатка. Может, переставлены две цифры? Подошёл бы {guess}.",
        "wrong": "В номере {number} опечатка: контрольная цифра не сходится. Проверьте, пожалуйста.",
    },
}


def handle(request: Request) -> Reply:
    length = request.settings.get("length", 12)
    if not isinstance(length, int) or length < 2:
        raise Failure(f"settings.length is {length!r}")
    given = request.arguments.get("number") or request.slots.get("order_number") or ""
    digits = [int(char) for char in str(given) if char.isdigit()]
    texts = TEXTS["ru" if request.language == "ru" else "en"]
    if len(digits) != length:
        return _ask_again(texts["length"].format(length=length, count=len(digits)))
    number = written(digits)
    if is_valid(digits):
        return Reply().say(texts["right"].format(number=number)).with_value({"valid": True, "number": number})
    guesses = swaps(digits)
    if len(guesses) == 1:
        return _ask_again(texts["swapped"].format(number=number, guess=written(guesses[0])))
    return _ask_again(texts["wrong"].format(number=number))


def _ask_again(text: str) -> Reply:
    return Reply().ask("order_number", text).with_value({"valid": False})


def is_valid(digits: list[int]) -> bool:
    """Every second digit from the right, beginning with the last but one, counts twice."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def swaps(digits: list[int]) -> list[list[int]]:
    """The valid numbers that differ by two neighbouring digits in the other order."""
    found = []
    for at in range(len(digits) - 1):
        if digits[at] == digits[at + 1]:
            continue
        other = digits[:at] + [digits[at + 1], digits[at]] + digits[at + 2 :]
        if is_valid(other):
            found.append(other)
    return found


def written(digits: list[int]) -> str:
    """In groups of four."""
    text = "".join(map(str, digits))
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))
