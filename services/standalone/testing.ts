import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually } from '@nexodus/clock/testing';
import { Agent, fetch, type Response } from 'undici';

/** A person at a browser, for tests: follows redirects, keeps cookies, fills in forms. It runs no script. */
export interface TestBrowser {
  /** Opens a page and returns where it ended and what it shows. */
  open(url: string): Promise<TestPage>;
  /** Sends the only form of a page with these fields, besides its hidden ones. */
  submit(page: TestPage, fields: Readonly<Record<string, string>>): Promise<TestPage>;
  close(): Promise<void>;
}

/** A page that was reached. */
export interface TestPage {
  url: string;
  status: number;
  /** What the heading says. */
  heading: string;
  text: string;
  headers: Response['headers'];
}

/** Redirects that a browser would follow too. */
const maxRedirects = 10;

/** Opens a browser that trusts one CA. */
export function openTestBrowser({ ca }: { ca: string }): TestBrowser {
  const dispatcher = new Agent({ connect: { ca } });
  const jar = new Map<string, { value: string; path: string }>();
  const request = async (url: string, form?: URLSearchParams, redirects = 0): Promise<TestPage> => {
    const { origin, pathname } = new URL(url);
    const cookies = [...jar].filter(([, { path }]) => pathname.startsWith(path));
    const response = await fetch(url, {
      dispatcher,
      redirect: 'manual',
      method: form === undefined ? 'GET' : 'POST',
      body: form?.toString(),
      headers: {
        accept: 'text/html',
        ...(cookies.length === 0
          ? {}
          : { cookie: cookies.map(([name, { value }]) => `${name}=${value}`).join('; ') }),
        ...(form === undefined
          ? {}
          : {
              'content-type': 'application/x-www-form-urlencoded',
              origin,
              'sec-fetch-site': 'same-origin',
            }),
      },
    });
    for (const cookie of response.headers.getSetCookie()) keep(jar, cookie);
    const location = response.headers.get('location');
    if (location !== null && redirects < maxRedirects) {
      await response.arrayBuffer();
      return request(new URL(location, url).href, undefined, redirects + 1);
    }
    const text = await response.text();
    const heading = /<h1>(.*?)<\/h1>/.exec(text)?.[1] ?? '';
    return { url, status: response.status, heading, text, headers: response.headers };
  };
  return {
    open: (url) => request(url),
    submit: (page, fields) => {
      const action = /<form[^>]* action="([^"]+)"/.exec(page.text)?.[1];
      if (action === undefined)
        throw new Error(`no form at ${page.url} (${page.status}): ${page.heading}`);
      const hidden = page.text.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g);
      const form = new URLSearchParams(fields);
      for (const [, name = '', value = ''] of hidden) form.set(name, value);
      return request(new URL(action, page.url).href, form);
    },
    close: () => dispatcher.close(),
  };
}

function keep(jar: Map<string, { value: string; path: string }>, cookie: string): void {
  const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
  if (name === undefined || value === undefined) return;
  const path = /; ?path=([^;]+)/i.exec(cookie)?.[1] ?? '/';
  if (value === '') jar.delete(name);
  else jar.set(name, { value, path });
}

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
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  return {
    child,
    output: () => text.output,
    errors: () => text.errors,
    ended,
    ready: () =>
      eventually(
        () => {
          if (text.output.includes('Ctrl-C stops it.')) return;
          if (child.exitCode !== null) return;
          throw new Error(`not ready: ${text.output}${text.errors}`);
        },
        { timeoutMs: 90_000 },
      ).then(() => {
        if (child.exitCode !== null) throw new Error(`it ended: ${text.errors}`);
      }),
    end: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}
