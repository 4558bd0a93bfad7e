"""Plugins for banter in Python.

    from banter_plugin import Reply, Request

    def handle(request: Request) -> Reply:
        return Reply().say(f"You said {request.text}.")

The file is `plugin.py`; `banter plugin build` compiles it together with this package. Outside WebAssembly the host's functions are those
of `banter_plugin.mock`: a test says what they answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Iterable, Optional

from . import host

__all__ = ["Entity", "Exchange", "Failure", "Reply", "Request", "host"]


class Failure(Exception):
    """Why there is no reply. `message` is for the log; `tell` is what the user hears."""

    def __init__(self, message: str, tell: Optional[str] = None, retryable: bool = False):
        super().__init__(message)
        self.message, self.tell, self.retryable = message, tell, retryable


@dataclass
class Entity:
    """Something that the message names."""

    entity: str
    value: str
    text: str


@dataclass
class Exchange:
    """An earlier message with its reply."""

    user: str
    bot: str
    intent: Optional[str] = None


@dataclass
class Request:
    """What a handler is told of the turn: the same as a script's `ctx`."""

    text: str
    language: str = "en"
    intent: str = "test"
    probability: float = 1.0
    entities: list[Entity] = field(default_factory=list)
    slots: dict[str, Any] = field(default_factory=dict)
    """A slot without a value is `None`."""
    contexts: list[str] = field(default_factory=list)
    user_id: int = 2
    dialog_id: int = 1
    history: list[Exchange] = field(default_factory=list)
    """Up to five earlier exchanges, oldest first."""
    settings: dict[str, Any] = field(default_factory=dict)
    """`settings` of bot.yaml."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """What a script gave to `plugin("name", #{…})`."""


class Reply:
    """Effects in order. Each method adds one and gives the reply back."""

    def __init__(self) -> None:
        self.effects: list[tuple[str, Any]] = []
        self.value: Optional[str] = None

    def say(self, text: str, suggestions: Iterable[str] = ()) -> Reply:
        return self._add("say", {"text": str(text), "suggestions": [str(word) for word in suggestions]})

    def image(self, url: str) -> Reply:
        return self._add("image", url)

    def payload(self, value: Any) -> Reply:
        return self._add("payload", json.dumps(value, ensure_ascii=False))

    def ask(self, slot: str, text: Optional[str] = None) -> Reply:
        """Asks for a slot of the intent; without a text, in the slot's own words."""
        return self._add("ask", {"slot": slot, "text": text})

    def set_slot(self, name: str, value: Any) -> Reply:
        """`None` removes it."""
        return self._add("set_slot", {"name": name, "value": json.dumps(value, ensure_ascii=False)})

    def set_context(self, name: str, turns: int) -> Reply:
        return self._add("set_context", {"name": name, "turns": turns})

    def set_language(self, code: str) -> Reply:
        return self._add("set_language", code)

    def jump(self, intent: str) -> Reply:
        return self._add("jump", intent)

    def hand_off(self, text: Optional[str] = None) -> Reply:
        return self._add("hand_off", text)

    def end(self) -> Reply:
        return self._add("end", None)

    def with_value(self, value: Any) -> Reply:
        """What `plugin("name", …)` gives back to a script."""
        self.value = json.dumps(value, ensure_ascii=False)
        return self

    def _add(self, kind: str, value: Any) -> Reply:
        self.effects.append((kind, value))
        return self
