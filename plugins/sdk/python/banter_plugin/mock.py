"""The host in tests. `mock.reset()` clears it. Then set `kept`, `answers`, `time`, `unit` and `conversation` as the test needs them, and read `lines`."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Optional

kept: dict[str, str] = {}
answers: dict[str, SimpleNamespace] = {}
lines: list[tuple[str, str]] = []
time = SimpleNamespace()
unit = 0.5
conversation: dict[str, Any] = {}


def reset() -> None:
    global time, unit
    kept.clear()
    answers.clear()
    lines.clear()
    unit = 0.5
    conversation.clear()
    conversation.update(entities=[], frames=[], contexts={})
    time = SimpleNamespace(unix=1767603600, year=2026, month=1, day=5, hour=9, minute=0, second=0, weekday=1)


def answer(url: str, body: str, status: int = 200) -> None:
    """What `http_get(url)` gives."""
    answers[url] = SimpleNamespace(status=status, body=body)


def _fetch(url: str) -> SimpleNamespace:
    if url not in answers:
        raise RuntimeError(f"no answer for {url}")
    return answers[url]


def _get(key: str) -> Optional[str]:
    return kept.get(key)


reset()
log = SimpleNamespace(log=lambda level, message: lines.append((level, message)))
kv = SimpleNamespace(get=_get, set=kept.__setitem__)
http = SimpleNamespace(get=_fetch)
clock = SimpleNamespace(now=lambda: time)
dialogue = SimpleNamespace(view=lambda: json.dumps(conversation))
random = SimpleNamespace(unit=lambda: unit, below=lambda limit: int(unit * limit))
