"""Answers what the bot hands off: the external AI's side of the API.

    API_KEY_AI=… python3 examples/external_ai.py http://127.0.0.1:8000

Any number of these may run: each claims what it answers, so that no question is answered twice. Put your model into `answer`.
Needs nothing but Python 3.9.
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request

# Seconds in which nobody else gets what was claimed. Longer than the answers of one round take, which may be a hundred.
CLAIM = 30
# Characters of an answer, at most.
LONGEST = 2_000
PAUSE = 0.5


def answer(content):
    """The answer to what a user has said, a line for each message: 1 to 2,000 characters."""
    return f"You said: {content} I have passed it on."


def call(url, method, path, body=None):
    """One request; returns status and JSON."""
    headers = {"Content-Type": "application/json", "X-Messages-Key": os.environ["API_KEY_AI"]}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def answer_what_waits(url):
    """Answers everything that waits."""
    status, listed = call(url, "GET", f"/messages?claim={CLAIM}")
    if status == 403:
        sys.exit("error: the server does not know this key\nhint: set API_KEY_AI to the server's")
    if status != 200:
        print(f"the server answered {status}, trying again", file=sys.stderr, flush=True)
    for one in listed.get("service_message", []):
        # `user_id`, `dialog_id` and `waits_until` say which question is answered.
        body = {**one, "text_user": answer(one["content"])[:LONGEST]}
        status, told = call(url, "POST", "/send/message/user", body)
        # 404 and 409: the dialogue was deleted, answered or given back meanwhile.
        print(f"dialogue {one['dialog_id']}: {'answered' if status == 200 else told['detail']}", flush=True)


def main():
    if not os.environ.get("API_KEY_AI"):
        sys.exit("error: API_KEY_AI is not set\nhint: set it to the server's key of the external AI")
    url = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000").rstrip("/")
    print(f"answering what {url} hands off; Ctrl-C ends this", flush=True)
    while True:
        try:
            answer_what_waits(url)
        # Also a proxy's page in place of JSON, and an answer that was cut off.
        except (OSError, ValueError, http.client.HTTPException) as error:
            print(f"the server does not respond, trying again: {error}", file=sys.stderr, flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
