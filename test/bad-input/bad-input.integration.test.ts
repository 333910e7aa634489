/**
 * What goes wrong on a machine that joins: each cause gets one line that names it and the remedy, and a documented exit
 * code; nothing stays half configured, and nothing is lost.
 */
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { certificateFingerprint, createCertificateAuthority } from '@nexodus/certificates';
import { RegistrationKeyServiceDefinition } from '@nexodus/contracts/api';
import { generateRegistrationKey, parseRegistrationKey } from '@nexodus/device-identity';
import {
  createVirtualNetwork,
  type HostProcess,
  type VirtualHost,
  type VirtualNetwork,
} from '@nexodus/netsim';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { accountCaller, type ApiCaller } from '../control-plane/callers.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { labEnvironment, repositoryProgram } from '../lab/lab-environment.ts';
import { exposeSocket } from '../namespace-port/expose-port.ts';

const audience = 'https://127.0.0.1:7443';
let folder: string;
let plane: ControlPlane;
let admin: ApiCaller;
let network: VirtualNetwork;
let host: VirtualHost;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nexodus-bad-'));
  const socket = join(folder, 'api.sock');
  plane = await startControlPlane({ address: `unix:${socket}`, audience });
  await writeFile(join(folder, 'ca.pem'), plane.caPem);
  admin = await accountCaller(plane, plane.accountId, plane.accountKey);
  network = await createVirtualNetwork();
  const lan = await network.switch('lan', { ipv4: '10.84.0.0/24', ipv6: 'fd84::/64' });
  host = await network.host('m', [{ switch: lan }]);
  await exposeSocket(host, socket, 7443);
});
afterAll(async () => {
  await network?.close();
  admin?.close();
  await plane?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A program of this folder that runs on the machine until the network is closed. */
async function running(name: string, args: readonly string[], ready: RegExp): Promise<HostProcess> {
  const script = fileURLToPath(new URL(name, import.meta.url));
  const program = await host.spawn(process.execPath, [script, ...args], { env: labEnvironment() });
  await program.waitForLine(ready, { deadlineMs: 10_000 });
  return program;
}

async function newKey(): Promise<string> {
  const { secret } = await admin.client(RegistrationKeyServiceDefinition).createRegistrationKey({});
  return secret;
}

/** One try to join, with state of its own. */
interface Attempt {
  stateDir: string;
  registrationKey: string;
  serviceUrl: string;
  trust: readonly string[];
  more: readonly string[];
  env: NodeJS.ProcessEnv;
  /** Put before the program, such as setpriv. */
  wrap: readonly string[];
}

let attempt: Attempt;
beforeEach(async () => {
  count += 1;
  const stateDir = join(folder, `state-${count}`);
  await mkdir(stateDir, { mode: 0o700 });
  attempt = {
    stateDir,
    registrationKey: await newKey(),
    serviceUrl: audience,
    trust: ['--ca', join(folder, 'ca.pem')],
    more: [],
    env: {},
    wrap: [],
  };
});

interface Outcome {
  exitCode: number | null;
  /** Lines on standard error. */
  complaints: string[];
}

/** Arguments that give a try what is its own. */
function ownArguments(stateDir: string): string[] {
  return ['--interface', 'nx0', '--state-dir', stateDir, '--socket', join(stateDir, 'nexd.sock')];
}

/** Runs `nexd up` to its end. */
async function up({
  stateDir,
  registrationKey,
  serviceUrl,
  trust,
  more,
  env,
  wrap,
}: Attempt): Promise<Outcome> {
  const command = [
    ...wrap,
    repositoryProgram('nexd'),
    'up',
    '--service-url',
    serviceUrl,
    ...trust,
    '--reg-key-file',
    '-',
    ...ownArguments(stateDir),
    ...more,
  ];
  const [program = '', ...args] = command;
  const result = await host.exec(program, args, {
    stdin: `${registrationKey}\n`,
    env: labEnvironment(env),
    timeoutMs: 60_000,
  });
  const exitCode = typeof result.exitCode === 'number' ? result.exitCode : null;
  return { exitCode, complaints: result.stderr.split('\n').filter((line) => line !== '') };
}

/** What of the machine a failed join must leave as it was. */
async function machineState(): Promise<string> {
  const commands: [string, string[]][] = [
    ['ip', ['-brief', 'link']],
    ['ip', ['-4', 'route', 'show', 'table', 'all']],
    ['ip', ['-6', 'route', 'show', 'table', 'all']],
    ['nft', ['list', 'ruleset']],
  ];
  const outputs = await Promise.all(commands.map(([program, args]) => host.run(program, args)));
  return outputs.join('\n');
}

/** Expects one line with the exit code, and a machine as before. */
async function expectRefusal(wanted: { exitCode: number; says: RegExp }): Promise<void> {
  const before = await machineState();
  const { exitCode, complaints } = await up(attempt);
  expect(complaints.join('\n')).toMatch(wanted.says);
  expect(complaints).toHaveLength(1);
  expect(exitCode).toBe(wanted.exitCode);
  expect(await machineState()).toBe(before);
}

describe('credentials', () => {
  test('a registration key that nobody made', async () => {
    attempt.registrationKey = generateRegistrationKey().exportText();
    await expectRefusal({ exitCode: 3, says: /registration key.*not known.*create another/i });
  });

  test('a registration key with a typing error', async () => {
    attempt.registrationKey = attempt.registrationKey.replace(/.$/, (last) =>
      last === 'a' ? 'b' : 'a',
    );
    await expectRefusal({ exitCode: 2, says: /mistyped/i });
  });

  test('an expired registration key', async () => {
    const hash = Buffer.from(parseRegistrationKey(attempt.registrationKey).hash);
    await plane.database
      .knex('registration_keys')
      .where({ hash })
      .update({ expires_at: new Date(0) });
    await expectRefusal({ exitCode: 3, says: /registration key has expired.*create another/i });
  });
});

describe('the service', () => {
  test('a URL where nothing listens', async () => {
    attempt.serviceUrl = 'https://127.0.0.1:7444';
    await expectRefusal({ exitCode: 7, says: /127\.0\.0\.1:7444/ });
  });

  test('a URL without encryption', async () => {
    attempt.serviceUrl = 'http://127.0.0.1:7443';
    await expectRefusal({ exitCode: 2, says: /https/ });
  });

  test('a URL that the service does not know as its own', async () => {
    attempt.serviceUrl = 'https://localhost:7443';
    await expectRefusal({ exitCode: 2, says: /https:\/\/127\.0\.0\.1:7443/ });
  });

  test('a pin of another CA', async () => {
    attempt.trust = ['--ca-sha256', '0'.repeat(64)];
    await expectRefusal({ exitCode: 8, says: /0{16}/ });
  });

  test('a CA file of another CA', async () => {
    const other = await createCertificateAuthority({
      commonName: 'Other',
      now: new Date(),
      years: 1,
    });
    const file = join(attempt.stateDir, '..', 'other-ca.pem');
    await writeFile(file, other.certificatePem);
    attempt.trust = ['--ca', file];
    expect(certificateFingerprint(other.certificatePem)).not.toBe(
      certificateFingerprint(plane.caPem),
    );
    await expectRefusal({ exitCode: 8, says: /certificate/i });
  });

  test('a clock that is five minutes off', async () => {
    const script = fileURLToPath(new URL('shift-clock.ts', import.meta.url));
    attempt.env = { NODE_OPTIONS: `--import=${script}` };
    await expectRefusal({ exitCode: 9, says: /clock/i });
  });
});

describe('the machine', () => {
  test('a UDP port that is taken', async () => {
    const holder = await running('hold-udp-port.ts', ['51999'], /held/);
    attempt.more = ['--listen-port', '51999'];
    await expectRefusal({ exitCode: 10, says: /51999/ });
    await holder.stop();
  });

  test('an interface name that something else has', async () => {
    await host.run('ip', ['link', 'add', 'nx0', 'type', 'bridge']);
    await expectRefusal({ exitCode: 10, says: /nx0/ });
    await host.run('ip', ['link', 'delete', 'nx0']);
  });

  test('no right to change the network', async () => {
    // Root of a container without capabilities: another user could not even read a clone that only root may enter.
    attempt.wrap = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all'];
    await expectRefusal({ exitCode: 10, says: /root|CAP_NET_ADMIN/ });
  });

  test('no TUN device', async () => {
    await host.run('mount', ['-t', 'tmpfs', 'tmpfs', '/dev/net']);
    try {
      await expectRefusal({ exitCode: 10, says: /\/dev\/net\/tun/ });
    } finally {
      await host.run('umount', ['/dev/net']);
    }
  });

  test('a tunnel address that collides with a prefix on another interface', async () => {
    await host.run('ip', ['address', 'add', '100.64.0.200/10', 'dev', host.link.interfaceName]);
    await expectRefusal({ exitCode: 10, says: /100\.64\.0\.0\/10/ });
    await host.run('ip', ['address', 'delete', '100.64.0.200/10', 'dev', host.link.interfaceName]);
  });
});

describe('the state directory', () => {
  test('a full disk', async () => {
    await host.run('mount', ['-t', 'tmpfs', '-o', 'size=16k,mode=700', 'tmpfs', attempt.stateDir]);
    await host.exec('dd', ['if=/dev/zero', `of=${attempt.stateDir}/filler`, 'bs=1k']);
    await expectRefusal({ exitCode: 11, says: /full|space/i });
    await host.run('umount', [attempt.stateDir]);
  });

  test('a half-written state file: keys are kept, and the device goes on or says what to do', async () => {
    const state = join(attempt.stateDir, 'enrolment.sealed');
    await joinOnce();
    const keysBefore = await readFile(join(attempt.stateDir, 'keys.json'));
    await truncate(state, 10);
    await joinOnce();
    expect(await readFile(join(attempt.stateDir, 'keys.json'))).toEqual(keysBefore);
  });

  test('half-written keys are not replaced silently', async () => {
    await joinOnce();
    await truncate(join(attempt.stateDir, 'keys.json'), 10);
    await expectRefusal({ exitCode: 11, says: /keys/ });
  });
});

test('a database that is down', async () => {
  const socket = join(attempt.stateDir, 'api.sock');
  const serviceUrl = 'https://127.0.0.1:7445';
  const own = await startControlPlane({ address: `unix:${socket}`, audience: serviceUrl });
  onTestFinished(() => own.stop());
  const caFile = join(attempt.stateDir, 'ca.pem');
  await writeFile(caFile, own.caPem);
  await exposeSocket(host, socket, 7445);
  attempt.serviceUrl = serviceUrl;
  attempt.trust = ['--ca', caFile];
  await own.stopDatabase();
  await expectRefusal({ exitCode: 7, says: /database|not ready|try again/i });
});

/** Joins, and takes the tunnel down again. */
async function joinOnce(): Promise<void> {
  const { stateDir, registrationKey } = attempt;
  const keyFile = join(stateDir, '..', `key-${count}`);
  await writeFile(keyFile, registrationKey, { mode: 0o600 });
  const own = ownArguments(stateDir);
  const joining = ['up', '--service-url', audience, ...attempt.trust, '--reg-key-file', keyFile];
  const daemon = await host.spawn(repositoryProgram('nexd'), [...joining, ...own], {
    env: labEnvironment(),
  });
  try {
    await daemon.waitForLine(/connected to the service/, { deadlineMs: 40_000 });
    await host.run(repositoryProgram('nexd'), ['down', ...own], { env: labEnvironment() });
    await daemon.exited;
  } finally {
    await daemon.stop();
  }
}
