import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import { AgentServiceDefinition } from '@nexodus/contracts/agent';
import { RegistrationKeyServiceDefinition } from '@nexodus/contracts/api';
import { createNatsMessageBus, createNatsSoftStateStore, openNats } from '@nexodus/messaging';
import { startTestNats } from '@nexodus/messaging/testing';
import { createVirtualNetwork, type VirtualHost } from '@nexodus/netsim';
import { startTelemetry } from '@nexodus/telemetry';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accountCaller } from '../control-plane/callers.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { bindingOf, deviceCaller, enrol, makeDeviceKeys } from '../control-plane/test-device.ts';
import { labEnvironment, repositoryProgram } from '../lab/lab-environment.ts';
import { exposePort, exposeSocket } from '../namespace-port/expose-port.ts';
import { type OtlpCollector, startOtlpCollector } from './otlp-collector.ts';

const audience = 'https://127.0.0.1:7443';
const collectorPort = 4317;
const cleanUp = new AsyncDisposableStack();
const services = new InMemorySpanExporter();
let folder: string;
let plane: ControlPlane;
let collector: OtlpCollector;
let host: VirtualHost;
let newKey: () => Promise<string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nexodus-trace-'));
  cleanUp.defer(() => rm(folder, { recursive: true, force: true }));
  const telemetry = await startTelemetry({
    serviceName: 'nexodus-services',
    serviceVersion: '0',
    spanProcessors: [new SimpleSpanProcessor({ exporter: services })],
  });
  cleanUp.defer(() => telemetry.stop());
  const nats = await startTestNats();
  cleanUp.defer(() => nats.stop());
  const shared = { clock: systemClock, random: Math.random };
  const link = openNats({ servers: [nats.url], name: 'test', ...shared });
  cleanUp.defer(() => link.close());
  const bus = createNatsMessageBus(link);
  cleanUp.defer(() => bus.close());
  const softState = createNatsSoftStateStore(link, { ...shared, bucket: 'soft-state' });
  const socket = join(folder, 'api.sock');
  plane = await startControlPlane({ address: `unix:${socket}`, audience, bus, softState });
  cleanUp.defer(() => plane.stop());
  const admin = await accountCaller(plane, plane.accountId, plane.accountKey);
  cleanUp.defer(admin.close);
  newKey = async () =>
    (await admin.client(RegistrationKeyServiceDefinition).createRegistrationKey({})).secret;
  collector = await startOtlpCollector();
  cleanUp.defer(() => collector.stop());
  const network = cleanUp.use(await createVirtualNetwork());
  const lan = await network.switch('lan', { ipv4: '10.85.0.0/24', ipv6: 'fd85::/64' });
  host = await network.host('m', [{ switch: lan }]);
  await exposeSocket(host, socket, 7443);
  cleanUp.use(await exposePort(host, { from: collector.port, to: collectorPort, folder }));
});
afterAll(() => cleanUp.disposeAsync());

const traced = labEnvironment({
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}`,
  OTEL_BSP_SCHEDULE_DELAY: '200',
});

/** A device that only the API knows. */
async function enrolPeer(): Promise<string> {
  const keys = makeDeviceKeys();
  const enrolled = await enrol(plane, keys, { registrationKey: await newKey(), hostname: 'peer' });
  const peer = await deviceCaller(plane, enrolled.deviceId, keys.device);
  await peer
    .client(AgentServiceDefinition)
    .publishBinding({ binding: bindingOf(keys, enrolled, 1n) });
  peer.close();
  return enrolled.deviceId;
}

/** Joins the machine; its daemon ends with the network. */
async function joinMachine(): Promise<void> {
  const caFile = join(folder, 'ca.pem');
  const keyFile = join(folder, 'reg-key');
  await writeFile(caFile, plane.caPem);
  await writeFile(keyFile, await newKey(), { mode: 0o600 });
  const own = [
    '--interface',
    'nx0',
    '--state-dir',
    join(folder, 'nexd'),
    '--socket',
    join(folder, 'nexd.sock'),
  ];
  const daemon = await host.spawn(
    repositoryProgram('nexd'),
    ['up', '--service-url', audience, '--ca', caFile, '--reg-key-file', keyFile, ...own],
    { env: traced },
  );
  await daemon.waitForLine(/connected to the service/, { deadlineMs: 40_000 });
}

async function nexctl(...args: string[]): Promise<string> {
  const credentials = join(folder, 'credentials.json');
  const content = {
    service_url: audience,
    ca_pem: plane.caPem,
    service_account_id: plane.accountId,
    private_key: plane.accountKey.exportBase64(),
  };
  await writeFile(credentials, JSON.stringify(content), { mode: 0o600 });
  return host.run(repositoryProgram('nexctl'), ['--credentials', credentials, ...args], {
    env: traced,
  });
}

test('one trace leads from nexctl through apiserver, policy, ipam and NATS to the agent', async () => {
  await joinMachine();
  const peerId = await enrolPeer();
  await eventually(async () => {
    const peers = await nexctl(
      'nexd',
      '--socket',
      join(folder, 'nexd.sock'),
      'peers',
      '--output',
      'json',
    );
    expect(peers).toContain(peerId);
  });
  await nexctl('device', 'delete', peerId);
  const deleteName = 'nexodus.api.v1.DeviceService/DeleteDevice';
  const asked = await eventually(() => {
    const span = collector.spans.find(
      ({ name, service }) => service === 'nexctl' && name === deleteName,
    );
    return span ?? false;
  });
  await eventually(
    () => {
      const inTrace = services
        .getFinishedSpans()
        .filter((span) => span.spanContext().traceId === asked.traceId);
      const names = new Set(inTrace.map((span) => span.name));
      expect([...names]).toEqual(
        expect.arrayContaining([
          deleteName,
          'nexodus.policy.v1.PolicyService/Authorize',
          'nexodus.ipam.v1.IpamService/ReleaseAddresses',
          'delete device',
          'process nexodus.vpc.*.advanced',
        ]),
      );
      const applied = collector.spans.filter(
        ({ service, traceId }) => service === 'nexd' && traceId === asked.traceId,
      );
      expect(applied.map((span) => span.name)).toContain('nexd apply');
    },
    { timeoutMs: 20_000 },
  );
});
