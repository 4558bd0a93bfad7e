import pathlib
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "sdk" / "python")]

from banter_plugin import Request  # noqa: E402
import plugin  # noqa: E402


class Handle(unittest.TestCase):
    def test_it_says_what_was_said(self):
        kind, value = plugin.handle(Request("hello")).effects[0]
        self.assertEqual((kind, value["text"]), ("say", "You said: hello"))


if __name__ == "__main__":
    unittest.main()
