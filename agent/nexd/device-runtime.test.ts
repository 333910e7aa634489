import { ManualClock } from '@nexodus/clock';
import {
  AgentServiceDefinition,
  type AgentServiceImplementation,
  ViewKind,
} from '@nexodus/contracts/agent';
import { applyInterval, encodeSelfEntry } from '@nexodus/network-map';
import { createInMemoryClient, RpcError, Status } from '@nexodus/rpc';
import { silentLogger } from '@nexodus/telemetry';
import { expect, test, vi } from 'vitest';
import { DataplaneError } from '../dataplane/index.ts';
import { createMemory, reduceDevice } from '../core/device-model.ts';
import type { Enrolment } from '../state/agent-state.ts';
import { generateDeviceKeys } from '../state/device-keys.ts';
import type { StateStore } from '../state/state-store.ts';
import type { DeviceMachine, MachineReport } from './device-machine.ts';
import { createDeviceRuntime } from './device-runtime.ts';

const enrolment: Enrolment = {
  serviceUrl: 'https://s:1',
  deviceId: 'd',
  organizationId: 'o',
  vpcId: 'v',
  vpcName: 'default',
  hostname: 'a',
  ipv4Address: '100.64.0.1',
  ipv6Address: 'fd00::1',
  expireAtMs: 2_000_000_000_000,
};
const self = encodeSelfEntry({
  ...enrolment,
  expireTimeSeconds: 0n,
  bindingSerial: 0n,
});
const view = applyInterval(
  undefined,
  {
    vpcId: 'v',
    logIncarnation: 'l',
    kind: ViewKind.SNAPSHOT,
    from: 0n,
    to: 4n,
    frames: 1,
    traceparent: '',
  },
  [{ entries: [self] }],
);

const saved = (): Promise<void> => Promise.resolve();
const store: StateStore = {
  directory: '/nowhere',
  load: () => Promise.resolve(undefined),
  createKeys: () => Promise.resolve(generateDeviceKeys()),
  saveEnrolment: saved,
  savePins: saved,
  saveView: saved,
  forget: saved,
  close: () => {},
};

/** A machine on which each run ends when and how the test says. */
function createMachine() {
  const runs: ((failure?: DataplaneError) => void)[] = [];
  const machine: DeviceMachine = {
    interfaceName: 'nx0',
    putInForce: (facts, { memory }) =>
      new Promise<MachineReport>((resolve) => {
        const here = {
          traffic: new Map(),
          onLink: [],
          localAddresses: [],
          listenPort: 0,
          now: new Date(0),
        };
        const model = reduceDevice({ ...facts, ...here }, memory);
        runs.push((failure) =>
          resolve({
            model,
            problem: failure?.message ?? '',
            failure,
            isFatal: false,
            endpoints: [],
            paths: [],
            tunnel: undefined,
          }),
        );
      }),
    status: () => Promise.reject(new Error('not in this test')),
    namesStatus: () => ({ hook: 'none', listening: null, domain: null, notice: null }),
    watch: () => Promise.resolve(),
  };
  return { machine, runs };
}

function unavailable(): never {
  throw new RpcError(Status.UNAVAILABLE, 'nobody there');
}

const service: AgentServiceImplementation<{ identity: null }> = {
  beginEnroll: unavailable,
  enroll: unavailable,
  authenticate: unavailable,
  publishBinding: unavailable,
  issueRelayGrants: unavailable,
  connect: unavailable,
};

function start() {
  const clock = new ManualClock(1_800_000_000_000);
  const { machine, runs } = createMachine();
  const lease = { highestServerTimeMs: clock.now(), durationMs: 86_400_000, elapsedMs: 0 };
  const runtime = createDeviceRuntime({
    store,
    kept: {
      keys: generateDeviceKeys(),
      enrolment,
      pins: createMemory(new Map()).pins,
      kept: { view, lease },
      notices: [],
    },
    enrolment,
    readyRevision: 0n,
    machine,
    client: createInMemoryClient(AgentServiceDefinition, service, { identity: null }),
    discardToken: () => {},
    clock,
    random: () => 0.5,
    logger: silentLogger,
    os: 'linux',
    say: () => {},
  });
  return { runtime, runs, clock };
}

test('a device is ready only when its view is in force whole', async () => {
  const { runtime, runs, clock } = start();
  const ready = vi.fn<() => void>();
  void runtime.ready.then(ready);
  const started = runtime.start();
  await vi.waitFor(() => expect(runs).toHaveLength(1));
  runs[0]?.(new DataplaneError('command-failed', 'ip failed.', 'Look at it.'));
  await started;
  clock.advance(4_000);
  await vi.waitFor(() => expect(runs).toHaveLength(2));
  expect(ready).not.toHaveBeenCalled();
  runs[1]?.();
  await vi.waitFor(() => expect(ready).toHaveBeenCalled());
  await runtime.stop();
});

test('the time of a run counts in the time between two looks after the machine', async () => {
  const { runtime, runs, clock } = start();
  const started = runtime.start();
  await vi.waitFor(() => expect(runs).toHaveLength(1));
  runs[0]?.();
  await started;
  clock.advance(4_000);
  await vi.waitFor(() => expect(runs).toHaveLength(2));
  clock.advance(4_000);
  runs[1]?.();
  await vi.waitFor(() => expect(runs).toHaveLength(3));
  runs[2]?.();
  await runtime.stop();
});
