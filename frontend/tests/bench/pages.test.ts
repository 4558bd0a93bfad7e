/// How soon the chat appears on a slow computer, and how much script it takes. Prints rows with ratios to the budgets.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

import type { BrowserContext } from 'playwright-core';
import { expect, test } from 'vitest';

import { openBrowser } from '../browser/browser';
import { Server } from '../browser/server';

const DIST = resolve(import.meta.dirname, '../../dist');
/// The processor is slowed down so many times.
const SLOWED = 4;
const RUNS = 7;

interface Row {
  name: string;
  unit: string;
  measured: number;
  budget: number;
}

test('the budgets of the pages', async () => {
  const [server, browser] = await Promise.all([Server.start(), openBrowser()]);
  const context = await browser.newContext();
  try {
    const first = await median(() => firstPaint(context, server.url));
    await enter(context, server.url);
    const ready = await median(() => chatReady(context, server.url));
    const rows: Row[] = [
      { name: 'first paint', unit: 'ms', measured: first, budget: 1_000 },
      { name: 'the conversation is there', unit: 'ms', measured: ready, budget: 1_500 },
      { name: 'script of the chat, gzip', unit: 'KiB', measured: chatScript(), budget: 90 },
      { name: 'script of the widget, gzip', unit: 'KiB', measured: size('widget.js'), budget: 40 },
    ];
    print(rows);
    for (const { name, measured, budget } of rows) expect(measured, name).toBeLessThan(budget);
  } finally {
    await browser.close();
    await server.remove();
  }
});

/// The first paint with content, in milliseconds, with an empty cache.
async function firstPaint(context: BrowserContext, url: string): Promise<number> {
  const page = await slowPage(context);
  await page.goto(url);
  await page.getByRole('heading').waitFor();
  const painted = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN);
  await page.close();
  return painted;
}

/// From the navigation until the history is shown, in milliseconds.
async function chatReady(context: BrowserContext, url: string): Promise<number> {
  const page = await slowPage(context);
  await page.goto(url);
  await page.locator('.message').first().waitFor();
  const ready = await page.evaluate(() => performance.now());
  await page.close();
  return ready;
}

async function slowPage(context: BrowserContext) {
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send('Network.setCacheDisabled', { cacheDisabled: true });
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: SLOWED });
  return page;
}

async function enter(context: BrowserContext, url: string): Promise<void> {
  const page = await context.newPage();
  await page.goto(url);
  await page.getByRole('button', { name: 'Chat without an account' }).click();
  await page.getByRole('textbox', { name: 'Message' }).fill('hello');
  await page.keyboard.press('Enter');
  await page.locator('.message').nth(1).waitFor();
  await page.close();
}

async function median(measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let run = 0; run < RUNS; run++) values.push(await measure());
  return values.sort((one, other) => one - other)[Math.floor(RUNS / 2)] ?? NaN;
}

function size(path: string): number {
  return gzipSync(readFileSync(join(DIST, path)), { level: 9 }).length / 1024;
}

/// All scripts of the chat page, and those that they import.
function chatScript(): number {
  const all = readdirSync(join(DIST, 'assets')).filter((name) => name.endsWith('.js'));
  return all.filter((name) => !name.startsWith('console')).reduce((sum, name) => sum + size(join('assets', name)), 0);
}

/// Into the file OUT: what the runner of tests prints is no report.
function print(rows: Row[]): void {
  const out = process.env['OUT'];
  if (out === undefined) throw new Error('OUT names no file; run bench/pages');
  writeFileSync(out, process.env['JSON'] === undefined ? table(rows) : json(rows));
}

function json(rows: Row[]): string {
  return `${JSON.stringify(rows.map((row) => ({ ...row, ratio: row.measured / row.budget })))}\n`;
}

function table(rows: Row[]): string {
  const head = `${''.padEnd(32)} ${'measured'.padStart(12)} ${'budget'.padStart(12)} ${'ratio'.padStart(7)}`;
  const lines = rows.map(({ name, unit, measured, budget }) => {
    const shown = (value: number) => `${value.toFixed(0)} ${unit}`.padStart(12);
    return `${name.padEnd(32)} ${shown(measured)} ${shown(budget)} ${(measured / budget).toFixed(2).padStart(7)}`;
  });
  return `${[head, ...lines].join('\n')}\n`;
}
