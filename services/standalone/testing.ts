import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually } from '@nexodus/clock/testing';
import type { TestBrowser } from './test-browser.ts';

export { openTestBrowser } from './test-browser.ts';
export type { TestBrowser, TestPage } from './test-browser.ts';

/**
 * Logs in on behalf of a terminal that waits for it (RFC 8628): enters the code, confirms it, logs in, agrees.
 *
 * @throws when the last page is not the one that says so
 */
export async function completeDeviceLogin(
  browser: TestBrowser,
  {
    verificationUriComplete,
    email,
    password,
  }: { verificationUriComplete: string; email: string; password: string },
): Promise<void> {
  const answers: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'Connect a device': {
      user_code: new URL(verificationUriComplete).searchParams.get('user_code') ?? '',
    },
    'Is this your device?': { confirm: 'yes' },
    'Log in': { email, password },
    'Allow access?': {},
  };
  let page = await browser.open(verificationUriComplete);
  for (let step = 0; page.heading !== 'Device connected'; step += 1) {
    const answer = answers[page.heading];
    if (answer === undefined || page.status !== 200 || step > Object.keys(answers).length) {
      throw new Error(
        `the login stopped at "${page.heading}" (${page.status}) of ${page.url}: ${page.text}`,
      );
    }
    page = await browser.submit(page, answer);
  }
}

/** A standalone service as a process, for tests. */
export interface StandaloneProcess {
  readonly child: ChildProcess;
  /** What it printed so far. */
  output(): string;
  /** What it complained of so far. */
  errors(): string;
  /** Exit code, or name of the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** Waits until it says that it is ready; rejects when it ends before. */
  ready(): Promise<void>;
  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<number | string>;
}

const main = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Starts `main.ts` with these variables and no others of the test run. */
export function spawnStandalone(
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): StandaloneProcess {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = { output: '', errors: '' };
  child.stdout.on('data', (chunk: Buffer) => (text.output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text.errors += chunk.toString()));
  let isOver = false;
  const ended = once(child, 'close').then(([code, signal]) => {
    isOver = true;
    return code ?? signal;
  });
  return {
    child,
    output: () => text.output,
    errors: () => text.errors,
    ended,
    ready: () =>
      eventually(
        () => {
          if (isOver || text.output.includes('Ctrl-C stops it.')) return;
          throw new Error(`not ready: ${text.output}${text.errors}`);
        },
        { timeoutMs: 90_000 },
      ).then(() => {
        if (isOver) throw new Error(`it ended: ${text.output}${text.errors}`);
      }),
    end: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}
