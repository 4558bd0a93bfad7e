/// A server of its own for a test: the program that was built, the demo bot, an empty data folder.
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const REPOSITORY = resolve(import.meta.dirname, '../../..');
/// The program under test.
const PROGRAM = process.env['PROGRAM'] ?? join(REPOSITORY, 'target/debug/banter');
/// How long a server may take to start: the debug build trains the demo bot.
const START = 90_000;

export class Server {
  readonly folder = mkdtempSync(join(tmpdir(), 'banter-browser-'));
  readonly url: string;
  #process: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    readonly settings: Record<string, string>,
  ) {
    this.url = `http://localhost:${port}`;
    // A copy, because the bot's folder is followed.
    for (const part of ['bot.yaml', 'intents', 'scripts', 'texts', 'fixtures', 'plugins']) {
      // The sources of plugins are no part of a bot.
      const isSource = (path: string) => statSync(path).isDirectory() && path !== join(REPOSITORY, part);
      const filter = (path: string) => part !== 'plugins' || !isSource(path);
      cpSync(join(REPOSITORY, part), join(this.folder, 'bot', part), { recursive: true, filter });
    }
    // What an earlier step has trained and compiled for the same bot.
    for (const part of ['index', 'plugins']) {
      const made = join(REPOSITORY, '.cache/check', part);
      if (existsSync(made)) cpSync(made, join(this.folder, 'data', part), { recursive: true });
    }
  }

  static async start(settings: Record<string, string> = {}): Promise<Server> {
    const server = new Server(await freePort(), settings);
    await server.run();
    return server;
  }

  async run(): Promise<void> {
    const log = openSync(join(this.folder, 'log'), 'a');
    const args = ['serve', '--bot', join(this.folder, 'bot'), '--data-dir', join(this.folder, 'data'), '--port', String(this.port)];
    const child = spawn(PROGRAM, args, { cwd: REPOSITORY, env: { ...process.env, ...this.settings }, stdio: ['ignore', log, log] });
    this.#process = child;
    const deadline = Date.now() + START;
    while (!(await this.#ready())) {
      if (Date.now() > deadline || child.exitCode !== null) {
        throw new Error(`the server does not start:\n${readFileSync(join(this.folder, 'log'), 'utf8').slice(-3_000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #ready(): Promise<boolean> {
    return fetch(`${this.url}/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  /// Ends it without warning, as a power failure does.
  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /// The administrator key that the server has made.
  adminKey(): string {
    return readFileSync(join(this.folder, 'data', 'admin.key'), 'utf8').trim();
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
