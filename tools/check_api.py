"""Plays generated requests against a running server, and checks that the OpenAPI document names every status that comes back.

    python3 tools/check_api.py BANTER SCHEMATHESIS

BANTER is the program, SCHEMATHESIS the folder into which schemathesis is installed. A 5xx or an undocumented status, content
type or body fails.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Requests to this machine go to no proxy.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# Users before the one that plays. So small numbers, which are tried often, name dialogues of others, too.
OTHERS = 5
# /logout ends the log-in that all requests use. A stream of events ends only with its time limit, so it is asked for less often.
LAST = ["/logout"]
ENDLESS = ["/dialogs/{id}/events"]


def post(url, path, body, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = "Bearer " + token
    with OPENER.open(urllib.request.Request(url + path, json.dumps(body).encode(), headers)) as response:
        return json.load(response)


def log_in(url, number):
    """Creates a user with a message, and returns a token."""
    login = {"email": f"user{number}@mail.example", "password": "tulip"}
    token = post(url, "/auth/login", login)["refresh_token"]
    post(url, "/messages/send", {"text": "hello"}, token)
    return token


def play(folder, url, headers, paths, examples, seconds):
    """Plays requests against some paths; returns whether all checks passed."""
    # One worker: Python 3.11 cannot parse code in two threads at once, and hypothesis does (AST recursion depth mismatch).
    command = [sys.executable, f"{folder}/bin/schemathesis", "run", f"{url}/openapi.json", "--no-color", "-w", "1"]
    command += ["-c", CHECKS, "--phases", "examples,coverage,fuzzing", "-n", str(examples), "--seed", "1", *paths]
    command += ["--request-timeout", str(seconds), "--continue-on-failure", "--warnings", "off", "--generation-database", "none"]
    # An archive is not found by chance: nearly all that is generated for an upload is thrown away.
    command += ["--suppress-health-check", "filter_too_much"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    environment = {**os.environ, "PYTHONPATH": folder, "NO_PROXY": "127.0.0.1"}
    return subprocess.run(command, env=environment, cwd=tempfile.gettempdir()).returncode == 0


def including(paths):
    return [word for path in paths for word in ("--include-path", path)]


def excluding(paths):
    return [word for path in paths for word in ("--exclude-path", path)]


def check(banter, folder, work):
    keys = {"HEALTH_SECRET_KEY": "of the monitor", "API_KEY_AI": "of the external AI", "GOOGLE_CLIENT_ID": "client"}
    # A bot that hands nothing off: a request that waits in vain is answered 504, as documented.
    subprocess.run([banter, "new", f"{work}/bot"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limits = {
        "BANTER_AUTH__LOGINS_PER_EMAIL": "100000",
        "BANTER_AUTH__LOGINS_PER_ADDRESS": "100000",
        "BANTER_LIMITS__MESSAGES_PER_MINUTE": "0",
    }
    # The embedded store, whatever this shell is set up for.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BANTER_", "DATABASE_"))}
    environment = {**inherited, **keys, **limits, "BANTER_LOG__FILTER": "error,rocket=off,_=off"}
    command = [banter, "serve", "--bot", f"{work}/bot", "--data-dir", f"{work}/data", "--port", "0"]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        greeting = server.stdout.readline()
        url = next((word for word in greeting.split() if word.startswith("http://")), None)
        if not url:
            sys.exit("error: the server did not start; it says why above")
        token = [log_in(url, number) for number in range(OTHERS + 1)][-1]
        with open(f"{work}/data/admin.key", encoding="utf-8") as file:
            admin = file.read().strip()
        headers = {
            "Authorization": "Bearer " + token,
            "X-Admin-Key": admin,
            "X-Health-Key": keys["HEALTH_SECRET_KEY"],
            "X-Messages-Key": keys["API_KEY_AI"],
        }
        passed = play(folder, url, headers, excluding(LAST + ENDLESS), 20, 10)
        passed = play(folder, url, headers, including(ENDLESS), 5, 1) and passed
        return play(folder, url, headers, including(LAST), 5, 10) and passed
    finally:
        server.terminate()
        server.wait()


def main():
    banter, folder = (os.path.abspath(path) for path in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as work:
        sys.exit(0 if check(banter, folder, work) else 1)


if __name__ == "__main__":
    main()
