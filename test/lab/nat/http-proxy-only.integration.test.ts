/**
 * Machines whose only way out is an HTTP proxy that allows CONNECT to port 443 alone: everything that the agent and the
 * command line do with a service goes through it.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CommandResult,
  createInternet,
  createVirtualNetwork,
  type Site,
  type VirtualHost,
} from '@nexodus/netsim';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readPrompt } from '../../login/person.ts';
import { labEnvironment, repositoryProgram } from '../lab-environment.ts';
import { createLabMachine } from '../lab-machine.ts';
import { createNexctl } from '../nexctl.ts';
import { type PublicService, startPublicService } from './public-service.ts';

const CREDENTIALS = { user: 'clerk', password: 'pr0xysecret' };

let stack: AsyncDisposableStack;
let folder: string;
let service: PublicService;
/** Its proxy asks nobody. */
let office: Site;
/** Its proxy asks for a user name and password. */
let bank: Site;
let terminals: Readonly<Record<'office' | 'bank', VirtualHost>>;

beforeAll(async () => {
  await using undo = new AsyncDisposableStack();
  folder = await mkdtemp(join(tmpdir(), 'nexodus-proxy-'));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const network = undo.use(await createVirtualNetwork());
  const internet = await createInternet(network);
  const host = await internet.host('service', { addresses: 3 });
  service = await startPublicService(host, join(folder, 'data'));
  const access = 'http-proxy-only';
  office = await internet.site('office', { access });
  bank = await internet.site('bank', { access, proxyCredentials: CREDENTIALS });
  terminals = { office: await office.host('office-t'), bank: await bank.host('bank-t') };
  stack = undo.move();
});

afterAll(() => stack?.disposeAsync());

/** Of its API, its login pages and its relay. */
function addressesOfService(): readonly (string | undefined)[] {
  return service.host.links.map(({ ipv4 }) => ipv4);
}

/** What a proxy was asked for. */
function requestsOf({ proxy }: Site, sinceLine = 0): readonly string[] {
  const lines = proxy?.process.tail(proxy.process.lineCount - sinceLine) ?? [];
  return lines.flatMap((line) => /Request .*: (\S+ \S+) HTTP/.exec(line)?.[1] ?? []);
}

/** Runs a command on a terminal, with logins of the tests' own. */
function nexctl(
  terminal: VirtualHost,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<CommandResult> {
  return terminal.exec(repositoryProgram('nexctl'), args, {
    env: labEnvironment({ XDG_CONFIG_HOME: folder, HOME: folder, ...env }),
    timeoutMs: 60_000,
  });
}

test('machines of two companies join through their proxies and follow the service', async () => {
  const administrator = createNexctl(service.host, service.credentialsFile);
  const created = await administrator.json(['reg-key', 'create', '--max-uses', '2']);
  const keyFile = join(folder, 'reg-key');
  await writeFile(keyFile, z.object({ secret: z.string() }).parse(created).secret);
  const at = service.joinArguments.findIndex((argument) => argument.startsWith('--reg-key'));
  const joinArguments = service.joinArguments.toSpliced(at, 2, '--reg-key-file', keyFile);
  const before = new Map(
    [office, bank].map((site) => [site, site.proxy?.process.lineCount] as const),
  );
  const machines = [];
  for (const site of [office, bank]) {
    const host = await site.host(`${site.name}-m`);
    const machine = await createLabMachine(host, join(folder, site.name));
    await machine.up([...joinArguments, '--proxy', site.proxy?.url ?? '']);
    machines.push(machine);
  }
  for (const machine of machines)
    await machine.knows(machines.filter((other) => other !== machine));
  const running = await service.host.run('ps', ['-A', '-o', 'args']);
  expect(running).toContain('nexd');
  expect(running).not.toContain(CREDENTIALS.password);
  const [api, , relay] = addressesOfService();
  for (const site of [office, bank]) {
    const asked = new Set(requestsOf(site, before.get(site)));
    expect(asked).toContain(`CONNECT ${api}:443`);
    asked.delete(`CONNECT ${relay}:443`);
    expect(asked.size).toBe(1);
  }
});

describe('nexctl', () => {
  test('logs a person in and works, by the variables', async () => {
    const through = { HTTPS_PROXY: office.proxy?.url };
    const before = office.proxy?.process.lineCount;
    const pinAt = service.joinArguments.indexOf('--ca-sha256');
    const pin = service.joinArguments.slice(pinAt, pinAt + 2);
    const login = await terminals.office.spawn(
      repositoryProgram('nexctl'),
      ['login', '--service-url', service.url, ...pin],
      { env: labEnvironment({ XDG_CONFIG_HOME: folder, HOME: folder, ...through }) },
    );
    const { completeUrl } = await readPrompt(login);
    const script = join(import.meta.dirname, 'complete-login.ts');
    await service.host.run('node', [script], {
      env: labEnvironment(),
      stdin: JSON.stringify({
        verificationUriComplete: completeUrl,
        ...service.person,
        ca: await readFile(service.caFile, 'utf8'),
      }),
      timeoutMs: 60_000,
    });
    expect(await login.exited).toEqual({ exitCode: 0, signal: null });
    const who = await nexctl(terminals.office, ['whoami'], through);
    expect(who).toMatchObject({ exitCode: 0, stderr: '' });
    expect(who.stdout).toContain(service.person.email);
    const [api, pages, relay] = addressesOfService();
    const asked = new Set(requestsOf(office, before));
    // The machine of the office may have asked for the relay meanwhile.
    asked.delete(`CONNECT ${relay}:443`);
    expect(asked).toEqual(new Set([`CONNECT ${api}:443`, `CONNECT ${pages}:443`]));
  });

  test.for([
    ['no proxy is named', 'office', [], {}, 7, /:443 (does not answer|is not reachable)/],
    [
      'nothing listens at the proxy',
      'office',
      ['--proxy', 'http://GATEWAY:9'],
      {},
      7,
      /Nothing listens/,
    ],
    [
      'the port is not allowed',
      'office',
      ['--proxy', 'OWN', '--service-url', 'https://203.0.113.10:7443'],
      {},
      7,
      /allows no connection to 203\.0\.113\.10:7443 \(403\)/,
    ],
    [
      'nothing listens at the service',
      'office',
      ['--proxy', 'OWN', '--service-url', 'https://203.0.113.1'],
      {},
      7,
      /cannot connect to 203\.0\.113\.1:443 \(5\d\d\)/,
    ],
    [
      'a password is missing',
      'bank',
      ['--proxy', 'http://GATEWAY:3128'],
      {},
      3,
      /asks for a user name and password \(407\)/,
    ],
    [
      'a password is wrong',
      'bank',
      [],
      { https_proxy: 'http://clerk:wr0ng@GATEWAY:3128' },
      3,
      /does not accept the user name/,
    ],
  ] as const)(
    'says so in one line when %s',
    { timeout: 120_000 },
    async ([, where, args, env, exitCode, message]) => {
      const site = where === 'office' ? office : bank;
      const filled = (text: string): string =>
        text.replace('OWN', site.proxy?.url ?? '').replace('GATEWAY', site.lan.ipv4Gateway ?? '');
      const variables = Object.entries(env).map(([name, value]) => [name, filled(value)]);
      const credentials = ['--credentials', service.credentialsFile, '--ca', service.caFile];
      const outcome = await nexctl(
        terminals[where],
        [...credentials, '--service-url', service.url, ...args.map(filled), 'whoami'],
        Object.fromEntries(variables),
      );
      expect(outcome).toMatchObject({ exitCode, stdout: '' });
      expect(outcome.stderr).toMatch(/^nexctl: [^\n]+\n$/);
      expect(outcome.stderr).toMatch(message);
      expect(outcome.stderr).not.toMatch(/wr0ng/);
    },
  );
});
