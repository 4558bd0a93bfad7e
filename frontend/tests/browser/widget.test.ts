/// The widget on a site of its own, with the strictest policy that a site can have.
import { readFileSync } from 'node:fs';
import { createServer, type Server as Site } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { openBrowser, Visitor } from './browser';
import { freePort, Server } from './server';

const EXAMPLE = resolve(import.meta.dirname, '../../../examples/widget.html');
const DIST = resolve(import.meta.dirname, '../../dist');

let server: Server;
let browser: Browser;
let shop: Site;
let stranger: Site;

const addressOf = (site: Site) => `http://localhost:${(site.address() as AddressInfo).port}`;

/// A site that shows the example page.
function openSite(port: number): Promise<Site> {
  const site = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(readFileSync(EXAMPLE, 'utf8').replaceAll('http://localhost:8000', server.url));
  });
  return new Promise((done) => site.listen(port, '127.0.0.1', () => done(site)));
}

beforeAll(async () => {
  const port = await freePort();
  const origins = JSON.stringify([`http://localhost:${port}`]);
  [server, browser] = await Promise.all([Server.start({ BANTER_GUESTS__ORIGINS: origins }), openBrowser()]);
  [shop, stranger] = await Promise.all([openSite(port), openSite(0)]);
});
afterAll(async () => {
  await browser?.close();
  shop?.close();
  stranger?.close();
  await server?.remove();
});

test('a visitor of a site chats, and finds the chat again', async () => {
  const visitor = await Visitor.open(browser, addressOf(shop));
  const { page } = visitor;
  const requests: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  await page.getByRole('button', { name: 'Open: Help' }).waitFor();
  expect(requests, 'nothing is told before the visitor opens the chat').toEqual([]);
  await page.getByRole('button', { name: 'Open: Help' }).click();
  await page.getByRole('textbox', { name: 'Message' }).fill('where is my order');
  await page.keyboard.press('Enter');
  await page.getByText('What is the order number?').waitFor();
  await visitor.checkAccess();
  await visitor.picture('widget');
  await page.keyboard.press('Escape');
  expect(await page.getByRole('log').count()).toBe(0);
  await page.reload();
  await page.getByRole('button', { name: 'Open: Help' }).click();
  await page.getByText('What is the order number?').waitFor();
  expect(await page.evaluate(() => Object.keys(localStorage).every((key) => key.startsWith('banter.')))).toBe(true);
  expect(await page.context().cookies()).toEqual([]);
  await visitor.close();
});

test('the element takes attributes, and its accent is a colour or nothing', async () => {
  const visitor = await Visitor.open(browser, addressOf(shop));
  const { page } = visitor;
  const accent = () =>
    page.locator('banter-chat').evaluate((element) => getComputedStyle(element).getPropertyValue('--accent').trim());
  expect(await accent()).toBe('#0b6b4f');
  await page.evaluate(() => {
    document.querySelector('banter-chat')?.remove();
    const element = document.createElement('banter-chat');
    element.setAttribute('language', 'ru');
    element.setAttribute('theme', 'dark');
    element.setAttribute('side', 'left');
    element.setAttribute('accent', 'red; background: url(https://evil.example)');
    element.setAttribute('open', '');
    document.body.append(element);
  });
  await page.getByRole('dialog', { name: 'Чат' }).getByPlaceholder('Напишите сообщение…').waitFor();
  expect(await accent()).not.toContain('evil');
  const box = await page.getByRole('dialog').boundingBox();
  expect(box?.x).toBe(16);
  await visitor.checkAccess();
  await visitor.close();
});

test('a site that is not on the list gets no guests', async () => {
  const visitor = await Visitor.open(browser, addressOf(stranger));
  const { page } = visitor;
  // Without CORS the page learns nothing, and the browser complains.
  visitor.context.removeAllListeners('console');
  await page.getByRole('button', { name: 'Open: Help' }).click();
  await page.getByText('The page cannot reach the server.').waitFor();
  await visitor.close();
});

test('scripts stay small', () => {
  const size = (path: string) => gzipSync(readFileSync(join(DIST, path)), { level: 9 }).length / 1024;
  const page = readFileSync(join(DIST, 'index.html'), 'utf8');
  const scripts = [...page.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.js)"/g)].map((match) => match[1] ?? '');
  expect(scripts.length).toBeGreaterThan(0);
  expect(scripts.reduce((sum, path) => sum + size(path), 0), 'the chat, in KiB').toBeLessThan(90);
  expect(size('widget.js'), 'the widget, in KiB').toBeLessThan(40);
});
