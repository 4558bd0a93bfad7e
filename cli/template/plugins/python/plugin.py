"""A starter plugin. Test it with `python3 -m unittest`; compile it with `banter plugin build {{name}}`."""

from banter_plugin import Reply, Request


def handle(request: Request) -> Reply:
    return Reply().say(f"You said: {request.text}")
