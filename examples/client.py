"""Plays what the clients of both earlier back ends do: one logs in with a password, the other with Google.

    python3 examples/client.py http://127.0.0.1:8000

Needs the demo bot, and `external_ai.py` running beside it, unchanged: the client checks that its answer quotes the question.
EMAIL and PASSWORD name the account; a new address creates a user. With GOOGLE_TOKEN, a Google ID token of the same address, the
second client signs in with it. First log in once with EMAIL, and run `banter verify EMAIL`: otherwise Google ends the password.
Without GOOGLE_TOKEN, the second client uses the first one's token. Needs nothing but Python 3.9.
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

TRIES = 20
# Each waits for up to a minute.
TRIES_WITHOUT_ANSWER = 2


class Client:
    """A client with one way to prove its user: a bearer token, or the cookie of a browser."""

    def __init__(self, url):
        self.url = url
        self.headers = {}

    def call(self, method, path, body=None, key=None):
        """One request; returns status and JSON. After a failure that may pass, it is repeated with its key."""
        headers = {"Content-Type": "application/json", **self.headers}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        unanswered = 0
        for attempt in range(TRIES):
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=90) as response:
                    self.keep_cookie(response.headers.get("Set-Cookie"))
                    return response.status, json.load(response)
            except urllib.error.HTTPError as error:
                # 502: of a proxy. 503: a part does not respond. 504: nobody has answered yet.
                unanswered += error.code == 504
                if unanswered == TRIES_WITHOUT_ANSWER:
                    sys.exit("error: nobody answers\nhint: start examples/external_ai.py with the server's API_KEY_AI")
                if error.code not in (502, 503, 504) or not key or attempt == TRIES - 1:
                    return error.code, json.load(error)
            except (OSError, ValueError, http.client.HTTPException):
                # Without a key, a repeat could do the same thing twice.
                if not key or attempt == TRIES - 1:
                    raise
            time.sleep(0.5)

    def keep_cookie(self, header):
        """Does what a browser does. Its pages also send their origin with each POST."""
        if header:
            self.headers["Cookie"] = header.split(";")[0]
            self.headers["Origin"] = self.url

    def good(self, method, path, body=None, key=None):
        """Like `call`, for a request that must succeed."""
        status, answer = self.call(method, path, body, key)
        assert status == 200, f"{method} {path}: {status} {answer}"
        return answer


def password_client(url, email, password):
    """Log-in, messages, history, refresh."""
    client = Client(url)
    tokens = client.good("POST", "/auth/login", {"email": email, "password": password})
    client.headers["Authorization"] = "Bearer " + tokens["access_token"]
    key = str(uuid.uuid4())
    first = client.good("POST", "/messages/send", {"text": "hello"}, key)
    assert first["response"], first
    again = client.good("POST", "/messages/send", {"text": "hello"}, key)
    assert again == first, "a repeat with its key gets the first answer"
    status, problem = client.call("POST", "/messages/send", {"text": "another text"}, key)
    assert (status, problem["code"]) == (409, "idempotency_mismatch"), problem
    rich = client.good("POST", "/messages/send?outputs=true", {"text": "hello"}, str(uuid.uuid4()))
    assert rich["outputs"][0]["text"] == rich["response"], rich
    history = client.good("GET", "/session/history")
    assert [entry["text"] for entry in history["history"]][-2:] == ["hello", "hello"], history
    newest = client.good("GET", "/session/history?limit=1")["history"]
    older = client.good("GET", "/session/history?before=" + newest[0]["id"])["history"]
    assert older and newest[0]["id"] not in [entry["id"] for entry in older], older
    fresh = client.good("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    client.headers["Authorization"] = "Bearer " + fresh["access_token"]
    assert client.good("GET", "/session/history")["user_id"] == history["user_id"]
    return client


def dialogue_client(url, google_token, otherwise):
    """Sign-in by Google, dialogues, and questions that the external AI may answer."""
    client = Client(url)
    if google_token:
        signed_in = client.good("POST", "/create/users", {"token": google_token})
        assert signed_in["status"] == "successful", signed_in
        profile = client.good("GET", "/me")["content"][0]
        assert profile["given_name"] == signed_in["given_name"], profile
    else:
        client.headers = dict(otherwise.headers)
    dialog = client.good("POST", "/dialogs/create", {"dialog_name": "orders"})["dialog"]
    client.good("POST", "/dialogs/rename", {"dialog_id": dialog, "dialog_name": "my orders"})
    listed = client.good("POST", "/dialogs", {})["dialogs"]
    assert {"dialog_id": dialog, "dialog_name": "my orders"} in listed, listed

    def ask(text):
        body = {"dialog_id": dialog, "text_user": text}
        return client.good("POST", "/send/message/ai", body, str(uuid.uuid4()))["answer_ai"]

    assert ask("hello"), "the bot answers what it knows"
    assert client.good("GET", f"/dialogs/flag/{dialog}")["content"] is False
    answer = ask("I want to talk to a human")
    assert "I want to talk to a human" in answer, f"the external AI answers the rest: {answer}"
    said = client.good("GET", f"/dialogs/{dialog}")["dialogs"]
    assert [one["role"] for one in said] == ["user", "bot", "user", "bot", "bot"], said
    assert said[-1]["content"] == answer, said
    client.good("POST", "/dialogs/delete", {"dialog_id": dialog})
    status, _ = client.call("GET", f"/dialogs/{dialog}")
    assert status == 404, "a deleted dialogue is gone"
    return client


def main():
    url = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000").rstrip("/")
    email = os.environ.get("EMAIL", f"{uuid.uuid4().hex}@mail.example")
    google_token = os.environ.get("GOOGLE_TOKEN")
    first = password_client(url, email, os.environ.get("PASSWORD", "tulip"))
    print("the password client is done")
    second = dialogue_client(url, google_token, first)
    same = first.good("GET", "/session/history")["user_id"] == second.good("GET", "/session/history")["user_id"]
    assert same, "both clients are the same user"
    second.good("POST", "/logout", {})
    status, _ = second.call("GET", "/session/history")
    assert status == 401, "after the log-out the session is gone"
    if google_token:
        first.good("GET", "/session/history")
    print("the dialogue client is done")


if __name__ == "__main__":
    try:
        main()
    except urllib.error.URLError as error:
        sys.exit(f"error: the server does not respond: {error.reason}\nhint: start it with make run, or name its address")
