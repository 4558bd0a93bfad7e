/// The chat page as visitors use it.
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { openBrowser, Visitor } from './browser';
import { Server } from './server';

let server: Server;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), openBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

async function enterAsGuest({ page }: Visitor, name = 'Chat without an account'): Promise<void> {
  await page.getByRole('button', { name }).click();
  await page.getByRole('log').waitFor();
}

async function signIn({ page }: Visitor, email: string): Promise<void> {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill('tulip');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('log').waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox').fill(text);
  await page.keyboard.press('Enter');
}

/// What the log shows, without the words for screen readers.
async function messages(page: Page): Promise<string[]> {
  return page.locator('.message .text').allInnerTexts();
}

async function shows(page: Page, expected: (string | RegExp)[]): Promise<void> {
  const all = expected.map((one) => (typeof one === 'string' ? one : expect.stringMatching(one)));
  await expect.poll(() => messages(page), { timeout: 15_000 }).toEqual(all);
}

test('a new visitor is understood in two languages and finds the history again', async () => {
  const visitor = await Visitor.open(browser, server.url);
  const { page } = visitor;
  await visitor.checkAccess();
  await visitor.picture('sign-in');
  await enterAsGuest(visitor);
  await say(page, 'Привет, как дела?');
  await say(page, 'where is my order');
  const expected = ['Привет, как дела?', /^Здравствуйте/, 'where is my order', 'What is the order number?'];
  await shows(page, expected);
  await visitor.checkAccess();
  await page.reload();
  await shows(page, expected);
  await say(page, 'A-1042');
  await shows(page, [...expected, 'A-1042', /on its way/]);
  await page.getByRole('group', { name: 'Suggested replies' }).getByRole('button').first().waitFor();
  await visitor.picture('chat');
  await visitor.close();
});

test('the pages speak the language of the browser', async () => {
  const visitor = await Visitor.open(browser, server.url, { locale: 'ru-RU' });
  await visitor.page.getByRole('button', { name: 'Войти' }).waitFor();
  await visitor.checkAccess();
  await enterAsGuest(visitor, 'Начать без учётной записи');
  await visitor.page.getByPlaceholder('Напишите сообщение…').waitFor();
  expect(await visitor.page.locator('html').getAttribute('lang')).toBe('ru');
  await visitor.checkAccess();
  await visitor.close();
});

test('two browsers in one dialogue see messages as they come', async () => {
  const [one, other] = [await Visitor.open(browser, server.url), await Visitor.open(browser, server.url)];
  await signIn(one, 'ann@mail.example');
  await signIn(other, 'ann@mail.example');
  await say(one.page, 'hello');
  await shows(other.page, ['hello', /assistant|Hello|Hi/]);
  await say(other.page, 'where is my order');
  await shows(one.page, ['hello', /assistant|Hello|Hi/, 'where is my order', 'What is the order number?']);
  await Promise.all([one.close(), other.close()]);
});

test('a message survives the death of the server, and arrives once', async () => {
  const visitor = await Visitor.open(browser, server.url);
  const { page } = visitor;
  await signIn(visitor, 'bob@mail.example');
  await say(page, 'hello');
  await shows(page, ['hello', /assistant|Hello|Hi/]);
  // The server dies when it has the message, and the page has no answer.
  await page.route('**/messages/send', async (route) => {
    await route.fetch();
    await server.kill();
    await route.abort();
  }, { times: 1 });
  await say(page, 'where is my order');
  await page.getByText('No connection. Trying again…').waitFor();
  await say(page, 'A-1042');
  await page.getByText('Not sent yet. It is sent again on its own.').first().waitFor();
  await visitor.picture('not-sent');
  // Somebody closes the window meanwhile, and opens another.
  await page.goto('about:blank');
  await server.run();
  await page.goto(server.url);
  const all = ['hello', /assistant|Hello|Hi/, 'where is my order', 'What is the order number?', 'A-1042', /on its way/];
  await shows(page, all);
  await page.reload();
  await shows(page, all);
  await visitor.close();
});

test('dialogues are created, renamed, deleted, and never more than five', async () => {
  const visitor = await Visitor.open(browser, server.url);
  const { page } = visitor;
  await signIn(visitor, 'carol@mail.example');
  const list = page.getByRole('navigation', { name: 'Dialogues' });
  const create = list.getByRole('button', { name: 'New dialogue' });
  for (const number of [1, 2, 3, 4, 5]) {
    await create.click();
    await page.getByRole('textbox', { name: 'Name' }).fill(`Order ${number}`);
    if (number === 1) await visitor.checkAccess();
    await page.keyboard.press('Enter');
    await list.getByRole('link', { name: `Order ${number}`, exact: true }).waitFor();
  }
  expect(await create.isDisabled()).toBe(true);
  await say(page, 'hello');
  await shows(page, ['hello', /assistant|Hello|Hi/]);
  await list.getByRole('link', { name: 'Order 1', exact: true }).click();
  await shows(page, []);
  await list.getByRole('button', { name: 'Rename: Order 5' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill('<b>Мой заказ</b>');
  await page.getByRole('button', { name: 'Save' }).click();
  await list.getByRole('link', { name: '<b>Мой заказ</b>' }).click();
  await shows(page, ['hello', /assistant|Hello|Hi/]);
  await visitor.picture('dialogues');
  await list.getByRole('button', { name: 'Delete: <b>Мой заказ</b>' }).click();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect.poll(() => list.getByRole('link').count()).toBe(5);
  await shows(page, []);
  expect(await create.isDisabled()).toBe(false);
  await visitor.close();
});

test('history loads by pages', async () => {
  const visitor = await Visitor.open(browser, server.url);
  const { page } = visitor;
  await signIn(visitor, 'dan@mail.example');
  await page.evaluate(async () => {
    const { dialogs } = await (await fetch('session')).json();
    for (let number = 1; number <= 45; number++) {
      const body = JSON.stringify({ text: `hello ${number}`, dialog_id: dialogs[0].dialog_id });
      await fetch('messages/send', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
    }
  });
  await page.reload();
  await expect.poll(async () => (await messages(page)).at(-2)).toBe('hello 45');
  expect((await messages(page))[0]).toBe('hello 16');
  await page.getByRole('button', { name: 'Earlier messages' }).click();
  await expect.poll(async () => (await messages(page))[0]).toBe('hello 1');
  expect((await messages(page)).length).toBe(90);
  expect(await page.getByRole('button', { name: 'Earlier messages' }).count()).toBe(0);
  await visitor.close();
});

test('cards keep their height in a long conversation on a phone', async () => {
  const visitor = await Visitor.open(browser, server.url, { viewport: { width: 375, height: 667 } });
  const { page } = visitor;
  const cards = [1, 2].map((number) => ({ title: `Kettle ${number}`, text: '1.7 litres', buttons: [{ title: 'Take it', say: 'take it' }] }));
  await page.route('**/turns*', async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    for (const turn of body.turns) turn.outputs.push({ type: 'payload', value: { cards } });
    await route.fulfill({ response, json: body });
  });
  await enterAsGuest(visitor);
  for (const text of ['hello', 'thanks', 'hello']) await say(page, text);
  await expect.poll(async () => (await messages(page)).length).toBe(6);
  await page.reload();
  await expect.poll(() => page.locator('.cards').count()).toBe(3);
  const cut = await page.locator('.card').evaluateAll((all) => all.filter((card) => card.getBoundingClientRect().bottom > card.parentElement!.getBoundingClientRect().bottom + 1).length);
  expect(cut).toBe(0);
  await visitor.close();
});

test('everything works by keyboard, and at the width of a phone', async () => {
  const visitor = await Visitor.open(browser, server.url, { viewport: { width: 360, height: 640 } });
  const { page } = visitor;
  const tabTo = async (name: string | RegExp) => {
    for (let presses = 0; presses < 30; presses++) {
      await page.keyboard.press('Tab');
      const label = await page.evaluate(() => {
        const focused = document.activeElement === document.body ? null : document.activeElement;
        return `${focused?.getAttribute('aria-label') ?? ''} ${focused instanceof HTMLElement ? focused.innerText : ''}`;
      });
      if (label.match(name)) return;
    }
    throw new Error(`no way by keyboard to ${String(name)}`);
  };
  await tabTo('Chat without an account');
  await page.keyboard.press('Enter');
  await page.getByRole('log').waitFor();
  await expect.poll(() => page.locator(':focus').getAttribute('aria-label')).toBe('Message');
  await page.keyboard.type('hello');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('there');
  await page.keyboard.press('Enter');
  await expect.poll(async () => (await messages(page)).length).toBe(2);
  expect((await messages(page))[0]).toBe('hello\nthere');
  await tabTo('Show dialogues');
  await page.keyboard.press('Enter');
  await tabTo('New dialogue');
  await page.keyboard.press('Enter');
  await page.keyboard.type('Second');
  await page.keyboard.press('Enter');
  await shows(page, []);
  await visitor.checkAccess();
  await visitor.picture('phone');
  // Nothing is wider than the phone.
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  await visitor.close();
});

test('everything works below a path prefix', async () => {
  // As a proxy does that serves the bot at /bot/.
  const proxy = createServer((incoming, outgoing) => {
    if (!incoming.url?.startsWith('/bot/')) {
      outgoing.writeHead(404).end();
      return;
    }
    const { method = 'GET', headers } = incoming;
    const forward = request(new URL(incoming.url.slice('/bot'.length), server.url), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    forward.on('error', () => outgoing.destroy());
    incoming.pipe(forward);
  });
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
  const url = `http://localhost:${(proxy.address() as AddressInfo).port}/bot/`;
  const visitor = await Visitor.open(browser, url);
  const { page } = visitor;
  await enterAsGuest(visitor);
  await say(page, 'where is my order');
  await shows(page, ['where is my order', 'What is the order number?']);
  await page.reload();
  await shows(page, ['where is my order', 'What is the order number?']);
  await page.goto(`${url}console`);
  await page.getByRole('heading', { name: 'Administrators only' }).waitFor();
  await visitor.close();
  proxy.closeAllConnections();
  proxy.close();
});

test('a message that is refused is marked, and what users write is text', async () => {
  const visitor = await Visitor.open(browser, server.url);
  const { page } = visitor;
  await enterAsGuest(visitor);
  const markup = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script> https://shop.example/<b>';
  await say(page, markup);
  await expect.poll(async () => (await messages(page))[0]).toBe(markup);
  await page.getByRole('textbox').fill('a'.repeat(2_001));
  await page.getByText('A message has at most 2,000 characters.').waitFor();
  expect(await page.getByRole('button', { name: 'Send' }).isDisabled()).toBe(true);
  await page.route('**/messages/send', (route) => route.fulfill({ status: 422, contentType: 'application/problem+json', body: JSON.stringify({ detail: 'Not like this.', code: 'invalid_text', status: 422 }) }), { times: 1 });
  await say(page, 'strange');
  await page.getByText('Not sent: Not like this.').waitFor();
  await page.getByRole('button', { name: 'Discard' }).click();
  await expect.poll(async () => (await messages(page)).includes('strange')).toBe(false);
  expect(await page.title()).not.toBe('owned');
  await visitor.close();
});
