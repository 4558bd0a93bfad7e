/// The console as administrators use it, beside the visitors whom it is about.
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Browser, Locator, Page } from 'playwright-core';
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

async function openChat(): Promise<Visitor> {
  const visitor = await Visitor.open(browser, server.url);
  await visitor.page.getByRole('button', { name: 'Chat without an account' }).click();
  await visitor.page.getByRole('log').waitFor();
  return visitor;
}

async function openConsole(section: string, options = {}): Promise<Visitor> {
  const admin = await Visitor.open(browser, `${server.url}/console#/${section}`, options);
  await admin.page.locator('input[type=password]').fill(server.adminKey());
  await admin.page.keyboard.press('Enter');
  await admin.page.locator('header nav').waitFor();
  return admin;
}

async function say({ page }: Visitor, text: string, answer: string | RegExp): Promise<void> {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.keyboard.press('Enter');
  await page.locator('.message .text', { hasText: answer }).last().waitFor();
}

const rows = (page: Page) => page.getByRole('list', { name: 'Conversations' }).getByRole('link');

/// Whether the top of an element is in the window.
const inSight = (place: Locator) =>
  place.evaluate((element) => {
    const { top } = element.getBoundingClientRect();
    return top >= 0 && top < innerHeight;
  });

test('a wrong key opens nothing', async () => {
  const admin = await Visitor.open(browser, `${server.url}/console`);
  await admin.page.getByLabel('Administrator key').fill('guessed');
  await admin.page.keyboard.press('Enter');
  await admin.page.getByText('The key is missing or wrong.').waitFor();
  await admin.checkAccess();
  await admin.close();
});

test('conversations are searched, explained and exported', async () => {
  const visitor = await openChat();
  await say(visitor, 'where is my order', 'What is the order number?');
  await say(visitor, 'A-1042', /on its way/);
  await say(visitor, '<b onmouseover=alert(1)>как приготовить борщ</b>', /Простите|Не уверен/);
  const admin = await openConsole('conversations');
  const { page } = admin;
  await expect.poll(() => rows(page).count()).toBe(3);
  // A version has the name that the section of versions gives it.
  await page.getByLabel('Version').selectOption({ index: 1 });
  await page.getByRole('button', { name: 'Search' }).click();
  await expect.poll(() => rows(page).count()).toBe(3);
  await page.getByLabel('Version').selectOption('');
  await page.getByLabel('Outcome').selectOption('unknown');
  await page.getByRole('button', { name: 'Search' }).click();
  await expect.poll(() => rows(page).count()).toBe(1);
  expect(await rows(page).locator('strong').innerText()).toBe('<b onmouseover=alert(1)>как приготовить борщ</b>');
  await page.getByLabel('Outcome').selectOption('');
  await page.getByLabel('Said').fill('ON ITS WAY');
  await page.keyboard.press('Enter');
  await expect.poll(() => rows(page).locator('strong').allInnerTexts()).toEqual(['A-1042']);
  await rows(page).first().click();
  const detail = page.locator('.detail');
  await detail.getByText('Nearest examples').first().waitFor();
  await detail.getByText('order_status.rhai').first().waitFor();
  // The chosen turn is marked and in sight.
  expect(await detail.locator('[aria-current] .mine').innerText()).toBe('A-1042');
  await expect.poll(() => inSight(detail.locator('[aria-current]'))).toBe(true);
  await admin.checkAccess();
  await admin.picture('console');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export as a fixture' }).click()]);
  const fixture = readFileSync(await download.path(), 'utf8');
  expect(fixture).toContain('user: A-1042');
  expect(fixture).toContain('intent: order_status');
  await Promise.all([visitor.close(), admin.close()]);
});

test('an unknown message becomes a published example, all by clicks', async () => {
  const question = 'recommend me a book about dragons';
  const visitor = await openChat();
  await say(visitor, question, /did not get that|not sure/);
  const admin = await openConsole('review');
  const { page } = admin;
  const item = page.locator('.groups li li', { hasText: question });
  await item.getByRole('button', { name: 'Add to this intent…' }).click();
  const dialog = page.getByRole('dialog');
  // What another intent has already is refused, with its place.
  await dialog.getByLabel('Intent').selectOption('joke');
  await dialog.getByLabel('Example').fill('where is my order');
  await dialog.getByRole('button', { name: 'Show what would change' }).click();
  await dialog.getByText(/intents\/order_status\.yaml:\d+/).waitFor({ timeout: 60_000 });
  await dialog.getByLabel('Example').fill(question);
  await dialog.getByLabel('Intent').selectOption('product_availability');
  await dialog.getByRole('button', { name: 'Show what would change' }).click();
  await dialog.getByText(/fixtures pass/).waitFor({ timeout: 60_000 });
  await admin.checkAccess();
  await admin.picture('review');
  await dialog.getByRole('button', { name: 'Publish' }).click();
  await page.getByText('Published. The bot knows it now.').waitFor({ timeout: 60_000 });
  await expect.poll(() => page.locator('.groups li li', { hasText: question }).count()).toBe(0);
  await say(visitor, question, /Which product/);
  await Promise.all([visitor.close(), admin.close()]);
}, 180_000);

test('a hand-off goes from the chat to the inbox and back, and one person has it', async () => {
  const visitor = await openChat();
  await say(visitor, 'I want to talk to a human', /A colleague will be with you/);
  await visitor.page.getByText('A person has been asked.').waitFor();
  await say(visitor, 'hello?', 'A colleague will answer you here.');
  const [olga, ivan] = [await openConsole('inbox'), await openConsole('inbox')];
  await ivan.page.getByRole('button', { name: 'Take it' }).waitFor();
  await olga.page.getByRole('button', { name: 'Take it' }).click();
  await olga.page.locator('.detail').getByText('hello?').waitFor();
  await ivan.page.getByText('Somebody has it').waitFor();
  await olga.checkAccess();
  await olga.picture('inbox');
  await olga.page.getByRole('textbox', { name: 'Answer' }).fill('Olga here: how can I help?');
  await olga.page.getByRole('button', { name: 'Send the answer' }).click();
  await visitor.page.getByText('Olga here: how can I help?').waitFor();
  await expect.poll(() => visitor.page.getByText('A person has been asked.').count()).toBe(0);
  await olga.page.getByText('Nobody waits.').waitFor();
  await say(visitor, 'where is my order', 'What is the order number?');
  // Given back without an answer.
  await say(visitor, 'cancel', /./);
  await say(visitor, 'I want to talk to a human', /A colleague will be with you/);
  await olga.page.getByRole('button', { name: 'Take it' }).click();
  await olga.page.getByRole('button', { name: 'Give back to the bot' }).click();
  await expect.poll(() => visitor.page.getByText('A person has been asked.').count()).toBe(0);
  await Promise.all([visitor.close(), olga.close(), ivan.close()]);
});

test('versions, the fleet and numbers are shown', async () => {
  const admin = await openConsole('versions');
  const { page } = admin;
  await page.getByRole('table', { name: 'Versions' }).getByText('in use', { exact: true }).waitFor();
  await page.getByRole('table', { name: 'Servers' }).getByText('current', { exact: true }).waitFor();
  await admin.checkAccess();
  await admin.picture('versions');
  await page.getByRole('link', { name: 'Numbers' }).click();
  await page.getByRole('img', { name: /^Messages/ }).locator('canvas').waitFor();
  await page.getByRole('table', { name: 'Most frequent intents' }).getByText('order_status').waitFor();
  await admin.checkAccess();
  await admin.picture('numbers');
  await admin.close();
});

test('a version that is not in use is tried in a side pane, compared, and rolled back to', async () => {
  const admin = await openConsole('versions');
  const { page } = admin;
  const versions = page.getByRole('table', { name: 'Versions' }).getByRole('row');
  const earlier = versions.nth(2);
  await earlier.getByRole('button', { name: 'Chat with it' }).click();
  const pane = page.getByRole('region', { name: /^Chat with version/ });
  for (const [said, answer] of [['where is my order', 'What is the order number?'], ['A-1042', /on its way/]] as const) {
    await pane.getByLabel('Message').fill(said);
    await page.keyboard.press('Enter');
    await pane.locator('.message .text', { hasText: answer }).last().waitFor({ timeout: 60_000 });
  }
  await pane.getByText('order_status.rhai').first().waitFor();
  await admin.checkAccess();
  await admin.picture('candidate');
  await pane.getByRole('button', { name: 'Close' }).click();
  await earlier.getByRole('button', { name: 'Compare with the one in use' }).click();
  await page.locator('pre', { hasText: 'recommend me a book about dragons' }).waitFor();
  await page.getByRole('button', { name: 'Roll back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await earlier.getByText('in use', { exact: true }).waitFor({ timeout: 60_000 });
  await admin.close();
}, 180_000);

test('a bot is published by an upload, and the reason is text', async () => {
  const reason = '<img src=x onerror="document.title=\'owned\'">';
  // A copy: the server follows its own folder.
  const copy = join(server.folder, 'copy');
  cpSync(join(server.folder, 'bot'), copy, { recursive: true });
  appendFileSync(join(copy, 'bot.yaml'), '# published at the console\n');
  const archive = join(server.folder, 'bot.tar');
  execFileSync('tar', ['-cf', archive, '--exclude', '.gitkeep', '-C', copy, '.']);
  const admin = await openConsole('versions');
  const { page } = admin;
  await page.locator('input[type=file]').setInputFiles(archive);
  await page.getByLabel('Reason').fill(reason);
  await page.getByRole('button', { name: 'Publish' }).click();
  await page.getByRole('table', { name: 'Versions' }).getByText(reason).waitFor({ timeout: 60_000 });
  expect(await page.title()).toContain('Console');
  await admin.close();
}, 120_000);

test('a user is made an administrator, exported, and deleted with a confirmation', async () => {
  const visitor = await Visitor.open(browser, server.url);
  await visitor.page.getByLabel('E-mail').fill('erin@mail.example');
  await visitor.page.getByLabel('Password').fill('tulip');
  await visitor.page.getByRole('button', { name: 'Sign in' }).click();
  await say(visitor, 'where is my order', 'What is the order number?');
  const admin = await openConsole('users');
  const { page } = admin;
  await page.getByLabel('Number or e-mail address').fill('erin@mail.example');
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByRole('button', { name: 'Make an administrator' }).click();
  await page.getByText('administrator', { exact: true }).waitFor();
  // The role opens the console without a key.
  await visitor.page.goto(`${server.url}/console`);
  await visitor.page.getByRole('link', { name: 'Conversations' }).waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export all data' }).click()]);
  expect(readFileSync(await download.path(), 'utf8')).toContain('where is my order');
  await page.getByRole('button', { name: 'Delete the user' }).click();
  const dialog = page.getByRole('dialog', { name: /^Delete user/ });
  const remove = dialog.getByRole('button', { name: 'Delete the user' });
  expect(await remove.isDisabled()).toBe(true);
  await dialog.getByLabel('Type erin@mail.example to confirm').fill('erin@mail.example');
  await admin.checkAccess();
  await remove.click();
  await page.getByText(/^User \d+ is deleted\.$/).waitFor();
  await visitor.page.goto(server.url);
  await visitor.page.getByLabel('E-mail').waitFor();
  await Promise.all([visitor.close(), admin.close()]);
});

test('the console speaks Russian, and fits a phone', async () => {
  const visitor = await openChat();
  await say(visitor, 'x'.repeat(400), /did not get that|not sure|Простите|Не уверен/);
  await visitor.close();
  const admin = await openConsole('conversations', { locale: 'ru-RU', viewport: { width: 360, height: 640 } });
  await admin.page.getByRole('heading', { name: 'Консоль' }).waitFor();
  await admin.page.getByRole('list', { name: 'Разговоры' }).getByRole('link').first().waitFor();
  for (const section of ['Разбор', 'Входящие', 'Версии', 'Числа', 'Пользователи', 'Разговоры']) {
    await admin.page.getByRole('link', { name: section, exact: true }).click();
    await admin.page.waitForLoadState('networkidle');
    await admin.checkAccess();
    expect(await admin.page.evaluate(() => document.documentElement.scrollWidth), section).toBe(360);
  }
  // Of a list and what is chosen in it, a phone shows one.
  await admin.page.getByRole('list', { name: 'Разговоры' }).getByRole('link').first().click();
  await admin.page.locator('.detail [aria-current]').waitFor();
  await expect.poll(() => inSight(admin.page.locator('.detail [aria-current]'))).toBe(true);
  await admin.page.getByRole('link', { name: '← Разговоры' }).click();
  await admin.page.getByRole('list', { name: 'Разговоры' }).waitFor();
  await admin.close();
}, 120_000);
