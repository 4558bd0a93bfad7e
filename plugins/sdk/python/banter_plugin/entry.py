"""Between the contract and `plugin.handle`. Only inside WebAssembly."""

import json
import traceback

import plugin
import wit_world
from componentize_py_types import Err
from wit_world.imports import types as wire

from . import Entity, Exchange, Failure, Reply, Request

_EFFECTS = {
    "say": lambda value: wire.Effect_Say(wire.Say(**value)),
    "image": wire.Effect_Image,
    "payload": wire.Effect_Payload,
    "ask": lambda value: wire.Effect_Ask(wire.Ask(**value)),
    "set_slot": lambda value: wire.Effect_SetSlot(wire.Slot(**value)),
    "set_context": lambda value: wire.Effect_SetContext(wire.SetContext(**value)),
    "set_language": wire.Effect_SetLanguage,
    "jump": wire.Effect_Jump,
    "hand_off": wire.Effect_HandOff,
    "end": lambda _: wire.Effect_End(),
}


class WitWorld(wit_world.WitWorld):
    def handle(self, request: wire.Request) -> wire.Reply:
        try:
            reply = plugin.handle(_read(request))
            if isinstance(reply, str):
                reply = Reply().say(reply)
            return wire.Reply([_EFFECTS[kind](value) for kind, value in reply.effects], reply.value)
        except Failure as failure:
            raise Err(wire.Failure(failure.message, failure.tell, failure.retryable)) from None
        except Exception as error:  # a mistake of the plugin's author, who wants to know the line
            frame = traceback.extract_tb(error.__traceback__)[-1]
            message = f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"
            raise Err(wire.Failure(message, None, False)) from None


def _read(request: wire.Request) -> Request:
    return Request(
        text=request.text,
        language=request.language,
        intent=request.intent,
        probability=request.probability,
        entities=[Entity(one.entity, one.value, one.text) for one in request.entities],
        slots={slot.name: json.loads(slot.value) for slot in request.slots},
        contexts=list(request.contexts),
        user_id=request.user_id,
        dialog_id=request.dialog_id,
        history=[Exchange(one.user, one.bot, one.intent) for one in request.history],
        settings=json.loads(request.settings),
        arguments=json.loads(request.arguments or "{}"),
    )
