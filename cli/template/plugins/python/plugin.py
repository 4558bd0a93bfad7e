"""A plugin of your own: `python3 -m unittest` tests it, `banter plugin build {{name}}` compiles it."""

from banter_plugin import Reply, Request


def handle(request: Request) -> Reply:
    return Reply().say(f"You said: {request.text}")
