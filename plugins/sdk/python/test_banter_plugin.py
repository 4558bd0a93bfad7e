import unittest

from banter_plugin import Reply, host, mock


class Replies(unittest.TestCase):
    def test_effects_in_order(self):
        reply = Reply().say("hi", ["a"]).image("u").payload({"n": "ё"}).ask("city").set_slot("x", None)
        reply.set_context("c", 2).set_language("ru").jump("bye").hand_off().end().with_value([1])
        expected = [
            ("say", {"text": "hi", "suggestions": ["a"]}),
            ("image", "u"),
            ("payload", '{"n": "ё"}'),
            ("ask", {"slot": "city", "text": None}),
            ("set_slot", {"name": "x", "value": "null"}),
            ("set_context", {"name": "c", "turns": 2}),
            ("set_language", "ru"),
            ("jump", "bye"),
            ("hand_off", None),
            ("end", None),
        ]
        self.assertEqual((reply.effects, reply.value), (expected, "[1]"))


class Host(unittest.TestCase):
    def test_the_host_is_the_mock(self):
        mock.reset()
        mock.answer("https://x.example/", "ok")
        host.kv_set("n", {"a": 1})
        host.log("line", "warn")
        self.assertEqual((host.kv_get("n"), host.kv_get("m")), ({"a": 1}, None))
        self.assertEqual(mock.lines, [("warn", "line")])
        self.assertEqual(host.http_get("https://x.example/").body, "ok")
        with self.assertRaises(RuntimeError):
            host.http_get("https://y.example/")
        self.assertEqual((host.now().weekday, host.random(), host.random_below(10)), (1, 0.5, 5))


if __name__ == "__main__":
    unittest.main()
