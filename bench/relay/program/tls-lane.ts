/** The relay's TLS lane on a virtual host, behind its public listener. It admits everybody. */
import { createCertificateAuthority, issueServerCertificate } from '@nexodus/certificates';
import { systemClock } from '@nexodus/clock';
import {
  createPublicListener,
  createTlsLane,
  createTlsLaneMetrics,
  defaultTlsLaneLimits,
} from '@nexodus/relay/testing';
import { silentLogger } from '@nexodus/telemetry';
import { createNoopMeter } from '@opentelemetry/api';
import { answerCalls, programConfig } from './answer-calls.ts';

/** Where it listens, over IPv4. */
export interface TlsLaneConfig {
  readonly address: string;
}

const { address } = programConfig<TlsLaneConfig>();
const now = new Date();
const ca = await createCertificateAuthority({ commonName: 'Bench CA', now, years: 1 });
const names = { dnsNames: [], ipAddresses: [address] };
const { certificatePem, key } = await issueServerCertificate({ ca, ...names, now, days: 1 });
const lane = createTlsLane({
  admits: () => true,
  mayForward: () => true,
  carry: () => 'carried',
  clock: systemClock,
  random: Math.random,
  limits: defaultTlsLaneLimits,
  metrics: createTlsLaneMetrics(createNoopMeter()),
  logger: silentLogger,
});
const listener = createPublicListener({
  host: address,
  port: 0,
  tls: { certificate: certificatePem, key: key.exportPem() },
  connectionsPerSource: 20_000,
  grpcSocket: () => '',
  handleUpgrade: (request, socket, head) => lane.handleUpgrade(request, socket, head),
});
await listener.part.start();

const calls = {
  /** Where clients connect, and whose certificates they shall trust. */
  place: () => ({ address, port: listener.port(), ca: ca.certificatePem }),
  /** Packets by what became of them. */
  packets: () => lane.statistics().packets,
};

/** What a TLS lane can be asked. */
export type TlsLaneCalls = typeof calls;

await answerCalls(calls, async () => {
  await lane.drain({ spreadMs: 0, tryForMs: 0, graceMs: 0 });
  await listener.part.stop();
});
