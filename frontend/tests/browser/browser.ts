/// The system's Chromium, and what every page of a test is watched for.
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { AxeBuilder } from '@axe-core/playwright';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/// Where pictures go: those of the README into docs/pictures when PICTURES is set, others into the cache.
const PICTURES = resolve(import.meta.dirname, '../../..', process.env['PICTURES'] ?? '.cache/pictures');

export async function openBrowser(): Promise<Browser> {
  const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, args: FLAGS });
}

/// A visitor with a browser window of their own. Fails the test on errors of a page and on requests to anybody but the
/// servers of the test.
export class Visitor {
  readonly complaints: string[] = [];

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
  ) {}

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visitor> {
    const context = await browser.newContext({ locale: 'en-GB', ...options });
    context.setDefaultTimeout(15_000);
    const visitor = new Visitor(context, await context.newPage());
    const hosts = new Set([new URL(url).hostname, 'localhost']);
    context.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (protocol.startsWith('http') && !hosts.has(hostname)) visitor.complaints.push(`a request to ${request.url()}`);
    });
    context.on('weberror', (error) => visitor.complaints.push(`an error: ${String(error.error())}`));
    context.on('console', (message) => {
      // A refused request is told to the reader by the page.
      const expected = /Failed to load resource|net::ERR_/.test(message.text());
      if (message.type() === 'error' && !expected) visitor.complaints.push(`the console: ${message.text()}`);
    });
    await visitor.page.goto(url);
    return visitor;
  }

  /// Nothing serious for people who read, see or hear otherwise (WCAG 2.2 A and AA), in both themes.
  async checkAccess(): Promise<void> {
    for (const colorScheme of ['light', 'dark'] as const) {
      await this.page.emulateMedia({ colorScheme });
      const { violations } = await new AxeBuilder({ page: this.page }).analyze();
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      const found = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`);
      expect(found, `${colorScheme} ${this.page.url()}`).toEqual([]);
    }
    await this.page.emulateMedia({ colorScheme: 'light' });
  }

  async picture(name: string): Promise<void> {
    mkdirSync(PICTURES, { recursive: true });
    await this.page.screenshot({ path: join(PICTURES, `${name}.png`) });
  }

  async close(): Promise<void> {
    await this.context.close();
    expect(this.complaints).toEqual([]);
  }
}
