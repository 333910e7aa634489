import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  issueServiceCertificate,
} from '@nexodus/certificates';
import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import { StunHeartbeat, StunServiceDefinition } from '@nexodus/contracts/stun';
import { createNatsMessageBus, openNats } from '@nexodus/messaging';
import { startTestNats } from '@nexodus/messaging/testing';
import { createRpcClient, openChannel, Status } from '@nexodus/rpc';
import { BINDING_METHOD, decodeStunMessage, encodeStunMessage } from '@nexodus/stun-codec';
import { afterEach, beforeEach, expect, test } from 'vitest';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const stops: (() => Promise<unknown> | void)[] = [];
let folder: string;
let ca: CertificateAuthority;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nexodus-stun-'));
  ca = await createCertificateAuthority({ commonName: 'Test CA', now: new Date(), years: 1 });
});
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
  rmSync(folder, { recursive: true, force: true });
});

async function certificateOf(service: string) {
  const issued = await issueServiceCertificate({
    ca,
    service,
    dnsNames: [`${service}.nexodus.internal`],
    ipAddresses: [],
    now: new Date(),
    days: 1,
  });
  return { certificate: issued.certificatePem, key: issued.key.exportPem() };
}

async function writeSettings(stun: object, natsUrl: string): Promise<string> {
  const { certificate, key } = await certificateOf('stun');
  const files = { 'ca.pem': ca.certificatePem, 'stun.pem': certificate, 'stun.key': key };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  }
  const settings = {
    metrics: { listen: '127.0.0.1:0' },
    internal: {
      listen: `unix:${join(folder, 'internal.sock')}`,
      certificate_file: join(folder, 'stun.pem'),
      key_file: join(folder, 'stun.key'),
      ca_file: join(folder, 'ca.pem'),
    },
    nats: { servers: [natsUrl] },
    stun,
  };
  const file = join(folder, 'stun.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(settings));
  return file;
}

interface ServiceProcess {
  readonly child: ChildProcess;
  /** Lines of standard error so far. */
  readonly lines: string[];
  readonly exited: Promise<unknown[]>;
}

function startMain(settingsFile: string): ServiceProcess {
  const child = spawn(process.execPath, [main, '--config', settingsFile], {
    // Of its own: variables of the test run are no settings of the service.
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(child, 'exit');
  const lines: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
  stops.push(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { child, lines, exited };
}

async function openSocket(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  stops.push(() => new Promise<void>((resolve) => socket.close(resolve)));
  return socket;
}

function callAs(identity: { certificate: string; key: string }) {
  const channel = openChannel({
    address: `unix:${join(folder, 'internal.sock')}`,
    tls: { ca: ca.certificatePem, ...identity, serverName: 'stun.nexodus.internal' },
  });
  stops.push(() => channel.close());
  return createRpcClient(StunServiceDefinition, channel);
}

test('a process of its own answers, counts for the apiserver only, reports itself over NATS and ends in order', async () => {
  const nats = await startTestNats();
  stops.push(() => nats.stop());
  const link = openNats({
    servers: [nats.url],
    name: 'test',
    clock: systemClock,
    random: Math.random,
  });
  const bus = createNatsMessageBus(link);
  stops.push(
    () => link.close(),
    () => bus.close(),
  );
  const heartbeat = Promise.withResolvers<StunHeartbeat>();
  bus.subscribe('nexodus.stun.heartbeat', ({ data }) =>
    heartbeat.resolve(StunHeartbeat.decode(data)),
  );
  await eventually(() => bus.flush());
  const settings = await writeSettings({ listen: ['127.0.0.1:0'], region: 'here' }, nats.url);
  const { child, lines, exited } = startMain(settings);
  await eventually(() => lines.some((line) => line.includes('service ready')));

  const told = await heartbeat.promise;
  expect(told.region).toBe('here');
  const port = Number(told.addresses[0]?.split(':').at(-1));
  const socket = await openSocket();
  const transactionId = new Uint8Array(12);
  const answered = once(socket, 'message');
  socket.send(
    encodeStunMessage({
      class: 'request',
      method: BINDING_METHOD,
      transactionId,
      attributes: [],
      hasFingerprint: false,
    }),
    port,
    '127.0.0.1',
  );
  const [reply] = (await answered) as [Buffer]; // what a socket emits with 'message'
  expect(decodeStunMessage(reply)).toMatchObject({ class: 'success', transactionId });

  const statistics = await callAs(await certificateOf('apiserver')).getStatistics({});
  expect(statistics).toEqual({ answered: 1n, refused: 0n, ignored: 0n, limited: 0n });
  const refused = callAs(await certificateOf('relay')).getStatistics({});
  await expect(refused).rejects.toMatchObject({ code: Status.PERMISSION_DENIED });

  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

test('a taken port ends it with status 2 and one line that says what to do', async () => {
  const taken = `127.0.0.1:${(await openSocket()).address().port}`;
  // Nobody listens on the discard port here: what the process says does not depend on NATS.
  const { lines, exited } = startMain(
    await writeSettings({ listen: [taken] }, 'nats://127.0.0.1:9'),
  );
  expect(await exited).toEqual([2, null]);
  expect(lines.filter((line) => line.startsWith('nexodus stun:'))).toEqual([
    `nexodus stun: another process listens on UDP ${taken}: set stun.listen to a free port, or stop that process`,
  ]);
});
