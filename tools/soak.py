"""Half an hour of ordinary use: sixteen clients with users and texts of their own, refreshes, deletions and new versions.
Memory must stay within 5 % between the middle and the last third; open files and threads must not grow.

    soak.py PROGRAM [MINUTES]
"""

import http.client
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time

program, minutes = os.path.abspath(sys.argv[1]), float(sys.argv[2] if len(sys.argv) > 2 else 30)
CLIENTS, SAMPLE, VERSION = 16, 5, 60
WORDS = "hello order where track cancel weather london paris dollars euros thanks delivery invoice when why how much".split()

end = time.monotonic() + minutes * 60
counts, lock = {}, threading.Lock()


def count(name):
    with lock:
        counts[name] = counts.get(name, 0) + 1


class Client:
    def __init__(self, port, number):
        self.port, self.random, self.connection = port, random.Random(number), None

    def ask(self, method, path, body=None, token=None, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        for attempt in (1, 2):
            self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                self.connection.request(method, path, None if body is None else json.dumps(body), headers)
                answer = self.connection.getresponse()
                return answer.status, json.loads(answer.read() or b"null")
            except (http.client.HTTPException, OSError):
                self.connection.close()
                self.connection = None
                if attempt == 2:
                    raise

    def live(self, admin):
        try:
            self.use(admin)
        except Exception as error:  # a client that ends early would make the soak easier
            count(f"client ended: {error!r}")

    def use(self, admin):
        while time.monotonic() < end:
            email = f"soak{self.random.getrandbits(48)}@mail.example"
            status, tokens = self.ask("POST", "/auth/login", {"email": email, "password": "tulip"})
            count(f"log-in {status}")
            if status != 200:
                time.sleep(0.5)
                continue
            access, refresh = tokens["access_token"], tokens["refresh_token"]
            for _ in range(self.random.randrange(5, 40)):
                text = " ".join(self.random.choices(WORDS, k=self.random.randrange(2, 9)))
                status, _ = self.ask("POST", "/messages/send", {"text": f"{text} {self.random.getrandbits(20)}"}, access)
                count(f"message {status}")
            status, tokens = self.ask("POST", "/auth/refresh", {"refresh_token": refresh})
            count(f"refresh {status}")
            status, history = self.ask("GET", "/session/history", None, tokens.get("access_token", access))
            count(f"history {status}")
            status, _ = self.ask("POST", f"/admin/users/{history['user_id']}/delete", {}, None, {"X-Admin-Key": admin})
            count(f"deletion {status}")


def publish(port, admin, folder):
    """A new version each minute: a bot with another greeting."""
    number = 0
    while time.monotonic() < end - VERSION:
        time.sleep(VERSION)
        number += 1
        path = folder / "bot" / "bot.yaml"
        path.write_text(path.read_text().split("\n# version")[0] + f"\n# version {number}\n")
        command = [program, "reload", "--bot", str(folder / "bot"), "--server", f"http://127.0.0.1:{port}"]
        taken = subprocess.run(command, env={**os.environ, "BANTER_ADMIN__KEY": admin}, capture_output=True, text=True)
        count(f"version {taken.returncode}")
        if taken.returncode:
            print(taken.stderr, file=sys.stderr)


def sample(pid):
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"])


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak"))
    subprocess.run([program, "new", str(folder / "bot")], check=True, capture_output=True)
    admin = os.urandom(16).hex()
    limits = {name: "0" for name in ("BANTER_LIMITS__MESSAGES_PER_MINUTE", "BANTER_LIMITS__MESSAGES_PER_DAY")}
    raised = {name: "1000000" for name in ("BANTER_AUTH__LOGINS_PER_ADDRESS", "BANTER_AUTH__REFRESHES_PER_ADDRESS")}
    environment = {**os.environ, **limits, **raised, "BANTER_ADMIN__KEY": admin, "BANTER_LOG__FILTER": "error"}
    command = [program, "serve", "--bot", str(folder / "bot"), "--data-dir", str(folder / "data"), "--port", "0"]
    server = subprocess.Popen(command, env={**environment, "BANTER_RELOAD__WATCH": "false"}, stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline().split("http://127.0.0.1:")[1].split()[0])
    threads = [threading.Thread(target=Client(port, number).live, args=(admin,)) for number in range(CLIENTS)]
    threads.append(threading.Thread(target=publish, args=(port, admin, folder)))
    for thread in threads:
        thread.start()
    samples = []
    while time.monotonic() < end:
        time.sleep(SAMPLE)
        samples.append(sample(server.pid))
    for thread in threads:
        thread.join()
    server.terminate()
    server.wait(30)
    third = len(samples) // 3
    faults = []
    for name, at, tolerance in (("memory, KB", 0, 1.05), ("open files", 1, 1.05), ("threads", 2, 1.05)):
        middle = statistics.median(one[at] for one in samples[third : 2 * third])
        last = statistics.median(one[at] for one in samples[2 * third :])
        print(f"{name:<12} middle third {middle:>10.0f}  last third {last:>10.0f}  ratio {last / middle:.3f}")
        if last > middle * tolerance:
            faults.append(name)
    for name in sorted(counts):
        print(f"{name:<16} {counts[name]}")
    odd = [name for name in counts if name.split()[-1] not in ("200", "204", "0")]
    for fault in faults + odd:
        print(f"error: {fault}", file=sys.stderr)
    sys.exit(1 if faults or odd else 0)


main()
