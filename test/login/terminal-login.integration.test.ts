/**
 * A person logs in at a terminal and works: the real service with its own issuer, the real command line, and a browser that
 * knows no more than the pages.
 */
import { stat } from 'node:fs/promises';
import {
  completeDeviceLogin,
  openTestBrowser,
  type TestBrowser,
} from '@nexodus/standalone/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { type LoginService, startLoginService } from './login-service.ts';
import { clockAhead, createPerson, type Outcome, type Person } from './person.ts';

let service: LoginService;
beforeAll(async () => {
  service = await startLoginService();
});
afterAll(() => service?.[Symbol.asyncDispose]());

let stack: AsyncDisposableStack;
let person: Person;
let browser: TestBrowser;

/** Another person at another browser. */
async function meetSomebody(): Promise<void> {
  stack = new AsyncDisposableStack();
  person = stack.use(await createPerson());
  browser = openTestBrowser({ ca: service.caPem });
  stack.defer(() => browser.close());
}

function where(): string[] {
  return ['--service-url', service.url, '--ca-sha256', service.caPin];
}

function identity(): { email: string; password: string } {
  const { email, password } = service;
  return { email, password };
}

/** Logs the person in, by the address with the code in it. */
async function logIn(): Promise<void> {
  const login = await person.beginLogin(where());
  stack.use(login.process);
  const verificationUriComplete = login.completeUrl;
  await completeDeviceLogin(browser, { verificationUriComplete, ...identity() });
  expect(await login.process.exited).toEqual({ exitCode: 0, signal: null });
}

/** Runs a command that must succeed. */
async function nexctl(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await person.nexctl(args);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return stdout;
}

async function asJson(...args: string[]): Promise<unknown> {
  return JSON.parse(await nexctl(...args, '--output', 'json'));
}

async function asYaml(...args: string[]): Promise<unknown> {
  return parseYaml(await nexctl(...args, '--output', 'yaml'));
}

/** What a command that changes nothing gives: its table, and the data of which JSON and YAML say the same. */
async function everyForm(...args: string[]): Promise<{ table: string; data: unknown }> {
  const [table, data, yaml] = await Promise.all([
    nexctl(...args),
    asJson(...args),
    asYaml(...args),
  ]);
  expect(yaml).toEqual(data);
  return { table, data };
}

describe('logging in', () => {
  beforeEach(meetSomebody);
  afterEach(() => stack.disposeAsync());

  test('shows an address and a code, which a person types, compares and confirms in a browser', async () => {
    const { process, verificationUrl, userCode } = await person.beginLogin(where());
    stack.use(process);
    expect(new URL(verificationUrl).origin).toBe(service.pagesUrl);
    const ask = await browser.open(verificationUrl);
    expect(ask.heading).toBe('Connect a device');
    const mistyped = await browser.submit(ask, { user_code: 'BCDF-GHJK' });
    expect(mistyped.text).toContain('There is no such code.');
    const confirm = await browser.submit(mistyped, { user_code: userCode });
    expect(confirm.heading).toBe('Is this your device?');
    for (const words of ['Nexodus command line', '127.0.0.1', userCode])
      expect(confirm.text).toContain(words);
    const login = await browser.submit(confirm, { confirm: 'yes' });
    expect(login.heading).toBe('Log in');
    const wrong = await browser.submit(login, { ...identity(), password: 'guessed' });
    expect([wrong.status, wrong.heading]).toEqual([401, 'Log in']);
    expect(wrong.text).toContain('E-mail address and password do not fit together.');
    expect(wrong.text).not.toContain('guessed');
    const consent = await browser.submit(wrong, identity());
    expect(consent.heading).toBe('Allow access?');
    await expect(stat(person.loginFile)).rejects.toMatchObject({ code: 'ENOENT' });
    const done = await browser.submit(consent, {});
    expect(done.heading).toBe('Device connected');
    expect(await process.exited).toEqual({ exitCode: 0, signal: null });
    expect(process.tail(1)).toEqual([`Logged in at ${service.url}.`]);
    expect((await stat(person.loginFile)).mode & 0o777).toBe(0o600);
    const again = await browser.submit(await browser.open(verificationUrl), {
      user_code: userCode,
    });
    expect(again.text).toContain('This code was used before.');
    const said = process.tail(1_000).join('\n') + service.log();
    const { idToken, refreshToken } = (await person.logins()).services[service.url] ?? {};
    for (const secret of [idToken, refreshToken, service.password])
      expect(said).not.toContain(String(secret));
  });

  test.for([
    ['at the confirmation', { 'Is this your device?': { abort: 'yes' } }],
    [
      'at the password',
      { 'Is this your device?': { confirm: 'yes' }, 'Log in': { cancel: 'yes' } },
    ],
    [
      'at the consent',
      {
        'Is this your device?': { confirm: 'yes' },
        'Log in': 'identity',
        'Allow access?': { cancel: 'yes' },
      },
    ],
  ] as const)('declined %s ends with 3 and keeps nothing', async ([, answers]) => {
    const { process, completeUrl, userCode } = await person.beginLogin(where());
    stack.use(process);
    let page = await browser.open(completeUrl);
    page = await browser.submit(page, { user_code: userCode });
    for (const answer of Object.values(answers))
      page = await browser.submit(page, answer === 'identity' ? identity() : answer);
    expect(await process.exited).toEqual({ exitCode: 3, signal: null });
    expect(process.tail(1)).toEqual(['nexctl: The login was declined. Log in again.']);
    await expect(stat(person.loginFile)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('with a wrong pin asks nobody for a password', async () => {
    const pin = '0'.repeat(64);
    const args = ['login', '--service-url', service.url, '--ca-sha256', pin];
    expect(await person.nexctl(args)).toMatchObject({ exitCode: 8, stdout: '' });
  });
});

describe('a person who has logged in', () => {
  beforeAll(async () => {
    await meetSomebody();
    await logIn();
  });
  afterAll(() => stack.disposeAsync());

  test('is known by name, role and organization in every form of output', async () => {
    const who = await everyForm('whoami');
    expect(who.table).toMatch(/^user demo@nexodus\.local \([0-9a-f-]{36}\)\n {2}owner of demo\n$/);
    expect(who.data).toMatchObject({
      user: { email: service.email, emailVerified: true, issuer: `${service.pagesUrl}/oidc` },
      memberships: [{ organizationName: 'demo', role: 'ROLE_OWNER' }],
    });
    const organizations = await everyForm('organization', 'list');
    expect(organizations.table).toMatch(/^NAME +ROLE +ULA PREFIX +ID\ndemo +owner +fd/);
    expect(organizations.data).toMatchObject([{ name: 'demo', role: 'ROLE_OWNER' }]);
  });

  test('makes, lists and deletes VPCs', async () => {
    const made = await asJson('vpc', 'create', 'office', '--ipv4-prefix', '10.40.0.0/16');
    expect(made).toMatchObject({ name: 'office', ipv4Prefix: '10.40.0.0/16' });
    const vpcs = await everyForm('vpc', 'list');
    expect(vpcs.table).toMatch(
      /^NAME +IPV4 PREFIX .*\ndefault \(default\) +100\.64\.0\.0\/10 .*\noffice +10\.40\.0\.0\/16 /,
    );
    expect(vpcs.data).toMatchObject([{ name: 'default', isDefault: true }, { name: 'office' }]);
    const twice = await person.nexctl(['vpc', 'create', 'office']);
    expect(twice).toMatchObject({ exitCode: 6, stdout: '' });
    expect(await nexctl('vpc', 'delete', 'office')).toBe('Deleted VPC office.\n');
    expect(await asJson('vpc', 'list')).toMatchObject([{ name: 'default' }]);
    expect(await person.nexctl(['vpc', 'delete', 'office'])).toMatchObject({ exitCode: 5 });
    expect(await person.nexctl(['vpc', 'delete', 'default'])).toMatchObject({ exitCode: 6 });
  });

  test('makes, lists and deletes registration keys, whose secrets are shown once', async () => {
    const made = await asJson(
      'reg-key',
      'create',
      '--max-uses',
      '2',
      '--ttl',
      '1h',
      '--description',
      'lab',
    );
    expect(made).toMatchObject({
      secret: expect.stringMatching(/^nxr_/),
      registrationKey: { maxUses: 2 },
    });
    const yaml = await asYaml('reg-key', 'create', '--ephemeral');
    expect(yaml).toMatchObject({ secret: expect.stringMatching(/^nxr_/) });
    const table = await nexctl('reg-key', 'create');
    expect(table).toMatch(/^PREFIX [^]*\nThe key, shown this once: nxr_\S+\n$/);
    const listed = await everyForm('reg-key', 'list');
    expect(listed.data).toContainEqual(expect.objectContaining({ description: 'lab' }));
    const { secret, registrationKey } = made as {
      secret: string;
      registrationKey: { prefix: string };
    };
    expect(listed.table).toMatch(new RegExp(`^${registrationKey.prefix} +0 of 2 `, 'm'));
    expect(JSON.stringify(listed)).not.toContain(secret);
    expect(await nexctl('reg-key', 'delete', registrationKey.prefix)).toBe(
      `Deleted registration key ${registrationKey.prefix}.\n`,
    );
    expect(await nexctl('reg-key', 'list')).not.toContain(registrationKey.prefix);
  });

  test('sees no devices before there are any', async () => {
    const devices = await everyForm('device', 'list');
    expect(devices.table).toMatch(/^HOSTNAME +ONLINE [^\n]*\n$/);
    expect(devices.data).toEqual([]);
    const none = await person.nexctl(['device', 'get', 'laptop']);
    expect(none).toMatchObject({ exitCode: 5, stdout: '' });
    expect(none.stderr).toMatch(/There is no device "laptop"/);
  });

  test('logs in again without naming the service', async () => {
    const login = await person.beginLogin([]);
    stack.use(login.process);
    const page = await browser.open(login.completeUrl);
    const confirm = await browser.submit(page, { user_code: login.userCode });
    // The browser still knows who it is, and what was allowed.
    const next = await browser.submit(confirm, { confirm: 'yes' });
    const done = next.heading === 'Allow access?' ? await browser.submit(next, {}) : next;
    expect(done.heading).toBe('Device connected');
    expect(await login.process.exited).toEqual({ exitCode: 0, signal: null });
  });
});

describe('logging out', () => {
  beforeEach(async () => {
    await meetSomebody();
    await logIn();
  });
  afterEach(() => stack.disposeAsync());

  test('leaves nobody, and the refresh token opens nothing any more', async () => {
    const kept = await person.logins();
    expect(await nexctl('logout')).toBe(`Logged out at ${service.url}.\n`);
    const out = await person.nexctl(['whoami']);
    expect(out).toMatchObject({ exitCode: 3, stdout: '' });
    expect(out.stderr).toMatch(/^nexctl: You are not logged in\. Log in with/);
    // Somebody had copied the file: the ID token lives out its hour, nothing prolongs it.
    await person.writeLogins(ended({ ...kept, current: service.url }));
    const copied = await person.nexctl(['whoami']);
    expect(copied).toMatchObject({ exitCode: 3, stdout: '' });
    expect(copied.stderr).toMatch(/^nexctl: The login has ended\. Log in again/);
    expect(await nexctl('logout')).toBe(`Logged out at ${service.url}.\n`);
    expect(await nexctl('logout')).toBe('You were not logged in.\n');
  });

  test('is done here even where the issuer cannot be asked', async () => {
    const kept = await person.logins();
    const [login] = Object.values(kept.services);
    Object.assign(login ?? {}, {
      issuer: { url: 'https://127.0.0.1:1/oidc', clientId: 'x', scopes: [] },
    });
    await person.writeLogins(kept);
    const { exitCode, stdout, stderr } = await person.nexctl(['logout']);
    expect([exitCode, stdout]).toEqual([0, `Logged out at ${service.url}.\n`]);
    expect(stderr).toMatch(/^nexctl: [^\n]*refresh token[^\n]*\n$/);
    expect((await person.logins()).services).toEqual({});
  });
});

/** The same logins, whose ID tokens the program takes for ended. */
function ended<T extends Awaited<ReturnType<Person['logins']>>>(logins: T): T {
  for (const login of Object.values(logins.services)) login.expireAtMs = 0;
  return logins;
}

describe('an ID token that is about to end', () => {
  /** Half a minute before the hour is over: the program refreshes a minute before the end. */
  const lateMs = 59.5 * 60_000;
  beforeAll(async () => {
    await meetSomebody();
    await logIn();
  });
  afterAll(() => stack.disposeAsync());

  test('is refreshed without asking, and the new one is kept', async () => {
    const before = (await person.logins()).services[service.url];
    const { exitCode, stdout, stderr } = await person.nexctl(['whoami'], clockAhead(lateMs));
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^user demo@/);
    const after = (await person.logins()).services[service.url];
    expect(after?.idToken).not.toBe(before?.idToken);
    expect(after?.refreshToken).not.toBe(before?.refreshToken);
    expect((await stat(person.loginFile)).mode & 0o777).toBe(0o600);
    expect(await nexctl('whoami')).toMatch(/^user demo@/);
  });

  test('is refreshed once by five commands at a time, all of which work', async () => {
    await person.writeLogins(ended(await person.logins()));
    const all: Outcome[] = await Promise.all(
      Array.from({ length: 5 }, () => person.nexctl(['organization', 'list'])),
    );
    expect(all.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(all.map(() => [0, '']));
    expect(await nexctl('whoami')).toMatch(/^user demo@/);
  });
});
