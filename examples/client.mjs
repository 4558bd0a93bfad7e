// Plays what the clients of both earlier back ends do: one logs in with a password, the other with Google.
//
//     node examples/client.mjs http://127.0.0.1:8000
//
// Needs the demo bot, and `external_ai.py` running beside it, unchanged: the client checks that its answer quotes the question.
// EMAIL and PASSWORD name the account; a new address creates a user. With GOOGLE_TOKEN, a Google ID token of the same address,
// the second client signs in with it. First log in once with EMAIL, and run `banter verify EMAIL`: otherwise Google ends the
// password. Without GOOGLE_TOKEN, the second client uses the first one's token. Needs nothing but Node.js 18.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

const TRIES = 20;
// Each waits for up to a minute.
const TRIES_WITHOUT_ANSWER = 2;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** A client with one way to prove its user: a bearer token, or the cookie of a browser. */
class Client {
  constructor(url, headers = {}) {
    this.url = url;
    this.headers = headers;
  }

  /** One request; gives status and JSON. After a failure that may pass, it is repeated with its key. */
  async call(method, path, body, key) {
    const headers = { "Content-Type": "application/json", ...this.headers };
    if (key) headers["Idempotency-Key"] = key;
    let unanswered = 0;
    for (let attempt = 1; ; attempt += 1) {
      const last = !key || attempt === TRIES;
      try {
        const response = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
        this.keepCookie(response.headers.get("set-cookie"));
        // 502: of a proxy. 503: a part does not respond. 504: nobody has answered yet.
        if (![502, 503, 504].includes(response.status) || last) return [response.status, await response.json()];
        if (response.status === 504) unanswered += 1;
        await response.body?.cancel();
      } catch (error) {
        // Without a key, a repeat could do the same thing twice.
        if (last) throw error;
      }
      if (unanswered === TRIES_WITHOUT_ANSWER) {
        console.error("error: nobody answers\nhint: start examples/external_ai.py with the server's API_KEY_AI");
        process.exit(1);
      }
      await pause(500);
    }
  }

  /** Does what a browser does. Its pages also send their origin with each POST. */
  keepCookie(header) {
    if (header) Object.assign(this.headers, { Cookie: header.split(";")[0], Origin: this.url });
  }

  /** Like `call`, for a request that must succeed. */
  async good(method, path, body, key) {
    const [status, answer] = await this.call(method, path, body, key);
    assert.equal(status, 200, `${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }
}

/** Log-in, messages, history, refresh. */
async function passwordClient(url, email, password) {
  const client = new Client(url);
  const tokens = await client.good("POST", "/auth/login", { email, password });
  client.headers.Authorization = `Bearer ${tokens.access_token}`;
  const key = randomUUID();
  const first = await client.good("POST", "/messages/send", { text: "hello" }, key);
  assert.ok(first.response);
  const again = await client.good("POST", "/messages/send", { text: "hello" }, key);
  assert.deepEqual(again, first, "a repeat with its key gets the first answer");
  const [status, problem] = await client.call("POST", "/messages/send", { text: "another text" }, key);
  assert.deepEqual([status, problem.code], [409, "idempotency_mismatch"]);
  const rich = await client.good("POST", "/messages/send?outputs=true", { text: "hello" }, randomUUID());
  assert.equal(rich.outputs[0].text, rich.response);
  const history = await client.good("GET", "/session/history");
  assert.deepEqual(history.history.slice(-2).map((entry) => entry.text), ["hello", "hello"]);
  const [newest] = (await client.good("GET", "/session/history?limit=1")).history;
  const older = (await client.good("GET", `/session/history?before=${newest.id}`)).history;
  assert.ok(older.length > 0 && older.every((entry) => entry.id !== newest.id));
  const fresh = await client.good("POST", "/auth/refresh", { refresh_token: tokens.refresh_token });
  client.headers.Authorization = `Bearer ${fresh.access_token}`;
  assert.equal((await client.good("GET", "/session/history")).user_id, history.user_id);
  return client;
}

/** Sign-in by Google, dialogues, and questions that the external AI may answer. */
async function dialogueClient(url, googleToken, otherwise) {
  const client = new Client(url);
  if (googleToken) {
    const signedIn = await client.good("POST", "/create/users", { token: googleToken });
    assert.equal(signedIn.status, "successful");
    const [profile] = (await client.good("GET", "/me")).content;
    assert.equal(profile.given_name, signedIn.given_name);
  } else {
    client.headers = { ...otherwise.headers };
  }
  const { dialog } = await client.good("POST", "/dialogs/create", { dialog_name: "orders" });
  await client.good("POST", "/dialogs/rename", { dialog_id: dialog, dialog_name: "my orders" });
  const { dialogs } = await client.good("POST", "/dialogs", {});
  assert.ok(dialogs.some((one) => one.dialog_id === dialog && one.dialog_name === "my orders"));

  const ask = async (text) => {
    const body = { dialog_id: dialog, text_user: text };
    return (await client.good("POST", "/send/message/ai", body, randomUUID())).answer_ai;
  };
  assert.ok(await ask("hello"), "the bot answers what it knows");
  assert.equal((await client.good("GET", `/dialogs/flag/${dialog}`)).content, false);
  const answer = await ask("I want to talk to a human");
  assert.ok(answer.includes("I want to talk to a human"), `the external AI answers the rest: ${answer}`);
  const said = (await client.good("GET", `/dialogs/${dialog}`)).dialogs;
  assert.deepEqual(said.map((one) => one.role), ["user", "bot", "user", "bot", "bot"]);
  assert.equal(said.at(-1).content, answer);
  await client.good("POST", "/dialogs/delete", { dialog_id: dialog });
  const [status] = await client.call("GET", `/dialogs/${dialog}`);
  assert.equal(status, 404, "a deleted dialogue is gone");
  return client;
}

const url = (process.argv[2] ?? "http://127.0.0.1:8000").replace(/\/$/, "");
try {
  await fetch(`${url}/live`);
} catch (error) {
  console.error(`error: the server does not respond: ${error.cause?.code ?? error.cause?.message}\nhint: start it with make run, or name its address`);
  process.exit(1);
}
const { EMAIL = `${randomUUID()}@mail.example`, PASSWORD = "tulip", GOOGLE_TOKEN } = process.env;
const first = await passwordClient(url, EMAIL, PASSWORD);
console.log("the password client is done");
const second = await dialogueClient(url, GOOGLE_TOKEN, first);
const [one, other] = [await first.good("GET", "/session/history"), await second.good("GET", "/session/history")];
assert.equal(one.user_id, other.user_id, "both clients are the same user");
await second.good("POST", "/logout", {});
const [status] = await second.call("GET", "/session/history");
assert.equal(status, 401, "after the log-out the session is gone");
if (GOOGLE_TOKEN) await first.good("GET", "/session/history");
console.log("the dialogue client is done");
