"""The host's functions. Each works as far as `allow` of bot.yaml grants it; without the grant it raises, or the call ends."""

from __future__ import annotations

import json
from typing import Any

try:  # inside WebAssembly
    from wit_world.imports import clock as _clock, dialogue as _dialogue, http as _http, kv as _kv, log as _log, random as _random

    _LEVELS = {level.name.lower(): level for level in _log.Level}
except ImportError:  # in tests
    from .mock import clock as _clock, dialogue as _dialogue, http as _http, kv as _kv, log as _log, random as _random

    _LEVELS = {level: level for level in ("debug", "info", "warn", "error")}


def log(message: str, level: str = "info") -> None:
    """A line for the server's log."""
    _log.log(_LEVELS[level], message)


def kv_get(key: str) -> Any:
    """A value that this plugin has kept for this user; `None` without it."""
    text = _kv.get(key)
    return None if text is None else json.loads(text)


def kv_set(key: str, value: Any) -> None:
    """Keeps a value, together with the turn."""
    _kv.set(key, json.dumps(value, ensure_ascii=False))


def http_get(url: str) -> Any:
    """Fetches from an allowed host: `.status` and `.body`."""
    return _http.get(url)


def now() -> Any:
    """The turn's clock: unix, year, month, day, hour, minute, second, weekday (1 is Monday)."""
    return _clock.now()


def random() -> float:
    """At least 0, less than 1; the turn's own chance."""
    return _random.unit()


def random_below(limit: int) -> int:
    """At least 0, less than the limit."""
    return _random.below(limit)


def view() -> dict[str, Any]:
    """The conversation beyond the message: `entities` with their roles, `frames` and `contexts`. Needs no grant."""
    return json.loads(_dialogue.view())
