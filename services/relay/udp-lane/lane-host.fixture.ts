/**
 * A relay's lane in a process of its own, so that a test can put it on a virtual host: lines of JSON in, lines out.
 * The first argument is a LaneHostConfig.
 */
import { createInterface } from 'node:readline';
import { preloadLibnftables } from '@nexodus/nftables/testing';
import { RelayRegistrationKey } from '@nexodus/relay-registration';
import { parseWireGuardPublicKey } from '@nexodus/wireguard';
import type { UdpLaneStatistics } from './udp-lane.ts';
import { openSpreadUdpLane, type SpreadUdpLaneOptions } from './spread-udp-lane.ts';
import { openUdpLane } from './worker-udp-lane.ts';

/** How the lane is opened. */
export type LaneHostConfig = Omit<SpreadUdpLaneOptions, 'events' | 'now' | 'threads'> & {
  /** Undefined: a lane of one thread. */
  readonly threads?: number;
};

/** A session in JSON. */
export interface HostedSession {
  readonly id: string;
  readonly tenant: string;
  /** Base64 of WireGuard key and registration key, by side. */
  readonly devices: readonly (readonly [string, string])[];
  readonly lifetimeMs?: number;
  readonly quotaBytes?: number;
  readonly rateBytesPerSecond?: number;
}

/** What the test says. */
export type HostCommand =
  | { readonly do: 'open'; readonly session: HostedSession }
  | { readonly do: 'close'; readonly id: string }
  | { readonly do: 'statistics' }
  | { readonly do: 'drain' }
  | { readonly do: 'stop' };

/** What the host says. */
export type HostSays =
  | {
      readonly says: 'started';
      readonly technology: string;
      readonly reason?: string;
      readonly capacity: number;
    }
  | {
      readonly says: 'opened';
      readonly id: string;
      readonly place?: readonly (readonly string[])[];
    }
  | { readonly says: 'statistics'; readonly statistics: UdpLaneStatistics }
  | { readonly says: 'ended'; readonly id: string; readonly reason: string }
  | { readonly says: 'roamed'; readonly id: string; readonly side: number }
  | { readonly says: 'offload-failed' | 'failed'; readonly reason: string }
  | { readonly says: 'stopped' };

const say = (said: HostSays): void => void process.stdout.write(`${JSON.stringify(said)}\n`);
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

preloadLibnftables();
const config = JSON.parse(process.argv[2] ?? '') as LaneHostConfig; // the test wrote it
const { threads, ...form } = config;
const options = {
  ...form,
  now: Date.now,
  events: {
    ended: (id: bigint, reason: string) => say({ says: 'ended', id: String(id), reason }),
    roamed: (id: bigint, side: number) => say({ says: 'roamed', id: String(id), side }),
    offloadFailed: (reason: string) => say({ says: 'offload-failed', reason }),
    failed: (error: Error) => say({ says: 'failed', reason: error.message }),
  },
};
const lane =
  threads === undefined
    ? await openUdpLane(options)
    : await openSpreadUdpLane({ ...options, threads });
const { technology, technologyReason, capacity } = lane;
say({
  says: 'started',
  technology,
  capacity,
  ...(technologyReason !== undefined && { reason: technologyReason }),
});

const open = async (session: HostedSession): Promise<void> => {
  const [first, second] = session.devices.map(([wireGuardKey, registrationKey]) => ({
    wireGuardKey: parseWireGuardPublicKey(wireGuardKey),
    registrationKey: RelayRegistrationKey.fromBytes(fromBase64(registrationKey)),
  }));
  if (first === undefined || second === undefined) throw new Error('a pair has two devices');
  const { lifetimeMs, id, tenant, devices: _devices, ...limits } = session;
  const place = await lane.open({
    ...limits,
    sessionId: BigInt(id),
    tenantId: tenant,
    devices: [first, second],
    ...(lifetimeMs !== undefined && { notAfterAt: Date.now() + lifetimeMs }),
  });
  say({ says: 'opened', id, ...(place !== undefined && { place }) });
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as HostCommand; // the test wrote it
  switch (command.do) {
    case 'open':
      await open(command.session);
      break;
    case 'close':
      lane.close(BigInt(command.id));
      break;
    case 'statistics':
      say({ says: 'statistics', statistics: await lane.statistics() });
      break;
    case 'drain':
      lane.drain();
      break;
    case 'stop':
      await lane.stop();
      say({ says: 'stopped' });
      break;
  }
}
