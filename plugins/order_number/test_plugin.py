import pathlib
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "sdk" / "python")]

from banter_plugin import Failure, Request  # noqa: E402
import plugin  # noqa: E402


class OrderNumbers(unittest.TestCase):
    def check(self, number, expected, language="en", settings=None):
        request = Request("", language=language, slots={"order_number": number}, settings=settings or {})
        kind, value = plugin.handle(request).effects[0]
        self.assertEqual((value["text"], kind), (expected, "say" if "valid" in expected or "верный" in expected else "ask"))

    def test_right_ones(self):
        self.check("4000-1234-5676", "4000-1234-5676 is a valid order number.")
        self.check("400012345676", "4000-1234-5676 — верный номер заказа.", "ru")
        self.check("18", "18 is a valid order number.", settings={"length": 2})

    def test_slips_of_the_finger(self):
        self.check("4000-1235-4676", "4000-1235-4676 has a typo. Did you swap two digits? 4000-1234-5676 would be right.")
        self.check("4000-1234-5674", "4000-1234-5674 has a typo: its check digit does not fit. Could you look again?")

    def test_length(self):
        self.check("4000-1234", "An order number has 12 digits, yours has 8. Could you look again?")

    def test_a_swap_is_found(self):
        digits = [int(char) for char in "400012345676"]
        for at in range(11):
            # Luhn's digit does not see 09 and 90.
            if digits[at] == digits[at + 1]:
                continue
            swapped = digits[:at] + [digits[at + 1], digits[at]] + digits[at + 2 :]
            self.assertFalse(plugin.is_valid(swapped))
            self.assertIn(digits, plugin.swaps(swapped))

    def test_arguments_of_a_script(self):
        reply = plugin.handle(Request("", arguments={"number": "4000-1234-5676"}))
        self.assertEqual(reply.value, '{"valid": true, "number": "4000-1234-5676"}')

    def test_bad_settings(self):
        with self.assertRaises(Failure):
            plugin.handle(Request("", settings={"length": "many"}))


if __name__ == "__main__":
    unittest.main()
