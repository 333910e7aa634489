/** The life of the daemon with a service that answers as each test says, on a machine in memory. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@nexodus/clock';
import { DaemonState } from '@nexodus/contracts/nexd';
import { generateRegistrationKey } from '@nexodus/device-identity';
import { ViewDigest } from '@nexodus/network-map';
import { RpcError, Status } from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { WireGuardPrivateKey } from '@nexodus/wireguard';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createDataplane, createNames, type Dataplane, planDevice } from '../dataplane/index.ts';
import { createMemoryHost, type MemoryHost } from '../dataplane/memory-host.ts';
import { DIRECT } from '../service-access/proxy-settings.ts';
import { openStateStore, type StateStore } from '../state/state-store.ts';
import { connectDaemon, type DaemonConnection } from './control-socket.ts';
import { runDaemon } from './daemon.ts';
import type { MachineParts } from './machine-parts.ts';
import {
  enrolled,
  type ScriptedService,
  startScriptedService,
} from './testing/scripted-service.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };
const listen = { address: '127.0.0.1', port: 0 };

let stack: AsyncDisposableStack;
let folder: string;
let service: ScriptedService;
let host: MemoryHost;
let store: StateStore;
let said: string[];

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  folder = await mkdtemp(join(tmpdir(), 'nexd-daemon-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  service = stack.use(await startScriptedService());
  store = await openStateStore(join(folder, 'state'));
  stack.defer(() => store.close());
  host = createMemoryHost();
  said = [];
});
afterEach(() => stack.disposeAsync());

/** Something that a test holds up: `reached` once it is asked for, and goes on when the test says. */
function createGate() {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    open: () => opened.resolve(),
    pass: async () => {
      reached.resolve();
      await opened.promise;
    },
  };
}

function dataplaneOf(privateKey: WireGuardPrivateKey): Dataplane {
  return createDataplane({ ...host, privateKey, logger: quiet, now: () => new Date() });
}

/** The parts of the machine in memory, as `openMachineParts` composes them. */
function memoryParts(): MachineParts {
  const resolver = { hook: 'none', route: async () => {}, unroute: async () => {} } as const;
  const names = createNames({ resolver, logger: quiet, listen });
  return {
    network: host.network,
    names,
    portShare: host.portShare,
    view: {
      interfaces: async () => [],
      defaultRoutes: async () => [],
      routeTo: async () => null,
    },
    createDataplane: dataplaneOf,
    remove: async () => {
      await dataplaneOf(WireGuardPrivateKey.generate()).down();
      await host.portShare.remove();
      await names.down({ alsoEarlier: true });
    },
  };
}

interface Wish {
  parts?: Partial<MachineParts>;
  store?: Partial<StateStore>;
}

/** Runs the daemon until it is told to end. */
function up(wish: Wish = {}) {
  const abort = new AbortController();
  stack.defer(() => abort.abort());
  const run = runDaemon({
    options: {
      serviceUrl: service.url,
      trust: { caFile: service.caFile },
      proxies: DIRECT,
      registrationKey: generateRegistrationKey(),
      interfaceName: 'nx0',
      stateDirectory: store.directory,
      listenPort: 0,
      socketPath: join(folder, 'nexd.sock'),
    },
    environment: {
      clock: systemClock,
      random: () => 0.5,
      logger: silentLogger,
      say: (line) => void said.push(line),
      signal: abort.signal,
    },
    parts: { ...memoryParts(), ...wish.parts },
    store: { ...store, ...wish.store },
  });
  // A test that ends early leaves it to the clean-up; whoever awaits it hears of its failure.
  run.catch(() => {});
  return { run, abort };
}

/** Talks to the daemon as the programs do. */
async function ask<T>(call: (client: DaemonConnection['client']) => Promise<T>): Promise<T> {
  const daemon = await connectDaemon(join(folder, 'nexd.sock'));
  if (daemon === undefined) throw new Error('no daemon listens');
  try {
    return await call(daemon.client);
  } finally {
    daemon.close();
  }
}

/** What `nexd down` asks of the daemon. */
async function down(forget = false): Promise<void> {
  await ask((client) => client.down({ forget }));
}

async function isGoingDown(): Promise<void> {
  await vi.waitFor(async () => {
    const { state } = await ask((client) => client.getStatus({}));
    expect(state).toBe(DaemonState.STOPPING);
  });
}

async function expectNothingLeft(): Promise<void> {
  expect(await host.network.read()).toBeNull();
  expect(await host.firewall.read()).toBeNull();
}

test('down while the service thinks about the enrolment ends it; forgotten is forgotten', async () => {
  const gate = createGate();
  const isGone = vi.fn<() => void>();
  service.script.enroll = async (_request, { signal }) => {
    signal.addEventListener('abort', isGone, { once: true });
    await gate.pass();
    return enrolled;
  };
  const { run } = up();
  await gate.reached;
  expect(await host.network.read()).not.toBeNull();
  await down(true);
  await run;
  await vi.waitFor(() => expect(isGone).toHaveBeenCalled());
  gate.open();
  await expectNothingLeft();
  expect(await readdir(store.directory)).toEqual(['nexd.lock']);
  expect(said).toEqual(['down: nothing of the tunnel is left']);
});

test('a check of the network is refused until the device has joined', async () => {
  const gate = createGate();
  service.script.enroll = async () => {
    await gate.pass();
    return enrolled;
  };
  const { run } = up();
  await gate.reached;
  await expect(ask((client) => client.checkNetwork({}))).rejects.toMatchObject({
    code: Status.FAILED_PRECONDITION,
    details: { reason: 'NOT_JOINED' },
  });
  await down();
  gate.open();
  await run;
});

test('down while the tunnel is tried waits for that, so that nothing comes up afterwards', async () => {
  const gate = createGate();
  const createGated = (key: WireGuardPrivateKey): Dataplane => {
    const dataplane = dataplaneOf(key);
    const apply: Dataplane['apply'] = async (plan) => {
      await gate.pass();
      await dataplane.apply(plan);
    };
    return { ...dataplane, apply };
  };
  const enroll = vi.fn<() => Promise<typeof enrolled>>(async () => enrolled);
  service.script.enroll = enroll;
  const { run } = up({ parts: { createDataplane: createGated } });
  await gate.reached;
  const isDown = vi.fn<() => void>();
  const downed = down().then(isDown);
  await isGoingDown();
  await expect(down()).rejects.toThrow(/going down already/);
  expect(isDown).not.toHaveBeenCalled();
  gate.open();
  await downed;
  await run;
  await expectNothingLeft();
  expect(enroll).not.toHaveBeenCalled();
});

test('down while the enrolment is written waits for that; forgotten, nothing of it is on disk', async () => {
  const gate = createGate();
  const saveEnrolment: StateStore['saveEnrolment'] = async (...args) => {
    await gate.pass();
    await store.saveEnrolment(...args);
  };
  const { run } = up({ store: { saveEnrolment } });
  await gate.reached;
  const downed = down(true);
  await isGoingDown();
  await expect(down()).rejects.toThrow(/going down already/);
  gate.open();
  await downed;
  await run;
  await expectNothingLeft();
  expect(await readdir(store.directory)).toEqual(['nexd.lock']);
});

test('down while the binding is published ends that; the enrolment stays for the next time', async () => {
  const gate = createGate();
  service.script.authenticate = async () => ({
    accessToken: 'token',
    expireTime: new Date(Date.now() + 3_600_000),
  });
  service.script.publishBinding = async () => {
    await gate.pass();
    return { revision: 1n };
  };
  const { run } = up();
  await gate.reached;
  await down();
  await run;
  gate.open();
  await expectNothingLeft();
  expect(await store.load()).toMatchObject({ enrolment: { deviceId: 'd' }, pins: new Map() });
});

test('down of a device at work removes the tunnel, and is answered before the daemon ends', async () => {
  const { run } = up();
  await vi.waitFor(async () => {
    expect(await host.network.read()).toMatchObject({
      addresses: expect.arrayContaining(['100.64.0.1/32']),
    });
  });
  await down();
  await run;
  await expectNothingLeft();
  expect(said.at(-1)).toBe('down: nothing of the tunnel is left');
  expect((await store.load())?.enrolment?.deviceId).toBe('d');
});

test('down that cannot remove the tunnel says so to both, and forgets nothing', async () => {
  const remove = (): Promise<void> => Promise.reject(new RpcError(Status.ABORTED, 'not ours'));
  const { run } = up({ parts: { remove } });
  await vi.waitFor(async () => expect((await store.load())?.enrolment).toBeDefined());
  await expect(down(true)).rejects.toThrow('not ours');
  await expect(run).rejects.toThrow('not ours');
  expect(await readdir(store.directory)).toContain('keys.json');
});

/** A device that joined before, whose tunnel with a peer is up. */
async function joinedBefore(): Promise<void> {
  const keys = await store.createKeys();
  await store.savePins(keys, new Map());
  const { expireTime, bindingSerial: _, ...told } = enrolled;
  await store.saveEnrolment(keys, {
    ...told,
    serviceUrl: service.url,
    expireAtMs: expireTime?.getTime() ?? 0,
    binding: { vpcId: 'v', serial: 1n, notAfterSeconds: 4_000_000_000 },
  });
  const entries = new Map([['self', new Uint8Array([1])]]);
  const digest = ViewDigest.of(entries);
  const view = { vpcId: 'v', logIncarnation: 'l', revision: 9n, entries, digest };
  for (const _generation of ['previous', 'present']) await store.saveView(keys, { view });
  const publicKey = Buffer.from(WireGuardPrivateKey.generate().publicKey).toString('base64');
  const peers = [{ publicKey, addresses: ['100.64.0.7'] }];
  await dataplaneOf(keys.wireGuard).apply(planDevice({ addresses: ['100.64.0.1'], peers }));
}

test.for([
  ['deleted', 'DEVICE_DELETED', /gone/],
  ['expired and may not join again', 'DEVICE_EXPIRED', /not with this key/],
] as const)(
  'a device that learns at its start that it is %s loses its peers and its view',
  async ([, reason, says]) => {
    await joinedBefore();
    service.script.authenticate = () => {
      throw new RpcError(Status.UNAUTHENTICATED, 'gone', { reason });
    };
    service.script.enroll = () => {
      throw new RpcError(Status.PERMISSION_DENIED, 'not with this key');
    };
    const { run } = up();
    await expect(run).rejects.toThrow(says);
    expect(await host.tunnel.read()).toMatchObject({ peers: [] });
    expect(await host.network.read()).toMatchObject({ addresses: [], routes: [] });
    expect(await store.load()).toMatchObject({ enrolment: { deviceId: 'd' }, notices: [] });
    expect((await store.load())?.kept.view).toBeUndefined();
    expect(said).toEqual([]);
  },
);
