/** A machine that joins because a person says so: no registration key, a code on its terminal, a browser elsewhere. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVirtualNetwork, type VirtualHost } from '@nexodus/netsim';
import { completeDeviceLogin, openTestBrowser } from '@nexodus/standalone/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { labEnvironment, repositoryProgram } from '../lab/lab-environment.ts';
import { exposePort } from '../namespace-port/expose-port.ts';
import { type LoginService, startLoginService } from './login-service.ts';
import { type BegunLogin, createPerson, type Person, readPrompt } from './person.ts';

const stack = new AsyncDisposableStack();
let service: LoginService;
let person: Person;
let host: VirtualHost;
beforeAll(async () => {
  service = stack.use(await startLoginService());
  person = stack.use(await createPerson());
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-machine-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const network = await createVirtualNetwork();
  stack.defer(() => network.close());
  const lan = await network.switch('lan', { ipv4: '10.85.0.0/24', ipv6: 'fd85::/64' });
  host = await network.host('m', [{ switch: lan }]);
  for (const url of [service.url, service.pagesUrl]) {
    const port = Number(new URL(url).port);
    stack.use(await exposePort(host, { from: port, to: port, folder }));
  }
  const login = await person.beginLogin(where());
  stack.use(login.process);
  await confirm(login);
  expect(await login.process.exited).toEqual({ exitCode: 0, signal: null });
  await nexctl('vpc', 'create', 'office');
});
afterAll(() => stack.disposeAsync());

let stateDir: string;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'nexodus-machine-state-'));
});
afterEach(async () => {
  // Where a test failed; else there is no daemon any more, or only the one to end.
  await host.exec(repositoryProgram('nexd'), ['down', ...ownArguments()], {
    env: labEnvironment(),
  });
  await rm(stateDir, { recursive: true, force: true });
});

function where(): string[] {
  return ['--service-url', service.url, '--ca-sha256', service.caPin];
}

function ownArguments(): string[] {
  return ['--interface', 'nx0', '--state-dir', stateDir, '--socket', join(stateDir, 'nexd.sock')];
}

/** Starts the daemon without a key, up to where a person has to act. */
async function beginJoin(...args: string[]): Promise<BegunLogin> {
  const up = ['up', ...where(), ...ownArguments(), ...args];
  return readPrompt(await host.spawn(repositoryProgram('nexd'), up, { env: labEnvironment() }));
}

async function confirm({ completeUrl }: BegunLogin): Promise<void> {
  const browser = openTestBrowser({ ca: service.caPem });
  try {
    const { email, password } = service;
    await completeDeviceLogin(browser, { verificationUriComplete: completeUrl, email, password });
  } finally {
    await browser.close();
  }
}

/** Runs a command of the person that must succeed, and gives its data. */
async function nexctl(...args: string[]): Promise<unknown> {
  const { exitCode, stdout, stderr } = await person.nexctl([...args, '--output', 'json']);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout);
}

/** A device, as far as tests look at it by name. */
interface ListedDevice {
  readonly id: string;
  readonly ipv4Address: string;
}

async function listDevices(): Promise<ListedDevice[]> {
  return (await nexctl('device', 'list')) as ListedDevice[];
}

/** What of the machine a tunnel would change. */
async function networkState(): Promise<string> {
  const link = await host.run('ip', ['-brief', 'link']);
  return link + (await host.run('nft', ['list', 'ruleset']));
}

const upLine = /^nexd: up: /;
const upMs = 40_000;

/** Devices that were not there before. */
async function newDevices(before: readonly { id: string }[]): Promise<ListedDevice[]> {
  const known = new Set(before.map(({ id }) => id));
  return (await listDevices()).filter(({ id }) => !known.has(id));
}

test('a person lets a machine in by its code: it joins the default VPC and is theirs', async () => {
  const before = await listDevices();
  const { process, verificationUrl, userCode, completeUrl } = await beginJoin(
    '--hostname',
    'laptop',
  );
  expect(completeUrl).toContain(userCode);
  expect(new URL(verificationUrl).origin).toBe(service.pagesUrl);
  const socket = ['nexd', '--socket', join(stateDir, 'nexd.sock')];
  const waiting = await person.nexctl([...socket, 'status', '--output', 'json']);
  expect(JSON.parse(waiting.stdout)).toMatchObject({ state: 'DAEMON_STATE_NEEDS_LOGIN' });
  expect(await newDevices(before)).toEqual([]);

  await confirm({ process, verificationUrl, userCode, completeUrl });
  await process.waitForLine(upLine, { deadlineMs: upMs });
  const who = (await nexctl('whoami')) as { user: { id: string } };
  const [home] = (await nexctl('vpc', 'list')) as { id: string; isDefault: boolean }[];
  const devices = await newDevices(before);
  expect(devices).toMatchObject([
    { hostname: 'laptop', os: 'linux', ownerUserId: who.user.id, vpcId: home?.id },
  ]);
  expect(home?.isDefault).toBe(true);
  const [device] = devices;
  const got = (await nexctl('device', 'get', 'laptop')) as object;
  expect(got).toMatchObject({ id: device?.id });
  const yaml = await person.nexctl(['device', 'get', device?.id ?? '', '--output', 'yaml']);
  expect(parseYaml(yaml.stdout)).toMatchObject({ id: device?.id, ownerUserId: who.user.id });
  const table = await person.nexctl(['device', 'get', 'laptop']);
  expect(table.stdout).toMatch(/^HOSTNAME +ONLINE +IPV4 .*\nlaptop +(yes|no) +100\./);
  expect(await host.run('ip', ['-brief', 'address', 'show', 'nx0'])).toContain(device?.ipv4Address);

  // The person's token was for joining: nothing of it rests on the machine.
  expect(process.tail(1_000).join('\n')).not.toContain('eyJ');
  await process.stop();
  const again = await host.spawn(repositoryProgram('nexd'), ['up', ...ownArguments()], {
    env: labEnvironment(),
  });
  await again.waitForLine(upLine, { deadlineMs: upMs });
  expect(again.tail(1_000).join('\n')).not.toMatch(/enter the code/);
});

test('a person chooses organization and VPC by name', async () => {
  const login = await beginJoin('--hostname', 'desk', '--organization', 'demo', '--vpc', 'office');
  await confirm(login);
  await login.process.waitForLine(/in VPC office: 100\./, { deadlineMs: upMs });
  await login.process.waitForLine(upLine, { deadlineMs: upMs });
  expect(await nexctl('device', 'list', '--vpc', 'office')).toMatchObject([{ hostname: 'desk' }]);
});

test.for([
  ['a VPC that is not there', ['--vpc', 'nowhere'], /^nexd: vpc "nowhere" not found\. /],
  [
    'an organization of others',
    ['--organization', 'theirs'],
    /^nexd: organization "theirs" not found\. /,
  ],
] as const)('%s ends it with 5, and the machine is as before', async ([, args, says]) => {
  const before = await networkState();
  const login = await beginJoin(...args);
  await confirm(login);
  expect(await login.process.exited).toEqual({ exitCode: 5, signal: null });
  expect(login.process.tail(1)[0]).toMatch(says);
  expect(await networkState()).toBe(before);
});

test('declined ends it with 3, and the machine is as before', async () => {
  const before = await networkState();
  const { process, completeUrl, userCode } = await beginJoin();
  const stranger = openTestBrowser({ ca: service.caPem });
  const asked = await stranger.submit(await stranger.open(completeUrl), { user_code: userCode });
  await stranger.submit(asked, { abort: 'yes' });
  await stranger.close();
  expect(await process.exited).toEqual({ exitCode: 3, signal: null });
  expect(process.tail(1)).toEqual(['nexd: The login was declined. Log in again.']);
  expect(await networkState()).toBe(before);
  expect(await readdir(stateDir)).not.toContain('enrolment.sealed');
});

test.for(['SIGTERM', 'down'] as const)(
  '%s while it waits for a person ends it with 0, and the machine is as before',
  async (how) => {
    const before = await networkState();
    const { process } = await beginJoin();
    if (how === 'SIGTERM') process.signal(how);
    else
      await host.run(repositoryProgram('nexd'), ['down', ...ownArguments()], {
        env: labEnvironment(),
      });
    expect(await process.exited).toEqual({ exitCode: 0, signal: null });
    expect(await networkState()).toBe(before);
  },
);
