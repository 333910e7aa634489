/** Devices, grants and a hub behind the real handlers, for tests of sessions. */
import { randomBytes } from 'node:crypto';
import { ManualClock } from '@nexodus/clock';
import { eventually } from '@nexodus/clock/testing';
import { GrantPayload, type SignedGrant } from '@nexodus/contracts/relay';
import {
  type AttachRequest,
  type AttachResponse,
  SessionServiceDefinition,
} from '@nexodus/contracts/relay-session';
import { type DevicePrivateKey, Ed25519PrivateKey } from '@nexodus/device-identity';
import { grantKeyId, proveAttachment, signGrant, verifyGrant } from '@nexodus/relay-grant';
import { createInMemoryClient } from '@nexodus/rpc';
import { WireGuardPrivateKey } from '@nexodus/wireguard';
import type { UdpLaneSession } from '../udp-lane/udp-lane.ts';
import { type HubLimits, SessionHub } from './session-hub.ts';
import { createSessionService } from './session-service.ts';

const RELAY_ID = 'relay-1';
const signingKey = Ed25519PrivateKey.generate('relay-grant');
const grantKeys = new Map([[grantKeyId(signingKey.publicKey), signingKey.publicKey]]);

type Message = NonNullable<AttachResponse['message']>;
type Case = Message['$case'];
type ValueOf<C extends Case> = Extract<Message, { $case: C }>['value'];

/** A device that a relay may meet. */
export interface TestDevice {
  readonly deviceId: string;
  readonly deviceKey: DevicePrivateKey;
  readonly wireguardPublicKey: Buffer;
}

export function makeDevice(deviceId: string): TestDevice {
  return {
    deviceId,
    deviceKey: Ed25519PrivateKey.generate('device'),
    wireguardPublicKey: Buffer.from(WireGuardPrivateKey.generate().publicKey),
  };
}

/** A grant for the devices, as the control plane signs it. */
export function grantFor(
  clock: ManualClock,
  devices: readonly TestDevice[],
  changes: Partial<GrantPayload> = {},
): { signed: SignedGrant; grantId: string } {
  const nowSeconds = BigInt(Math.floor(clock.now() / 1_000));
  const payload = GrantPayload.fromPartial({
    grantId: randomBytes(8).toString('hex'),
    organizationId: 'organization',
    vpcId: 'vpc',
    devices: devices.map(({ deviceId, deviceKey, wireguardPublicKey }) => ({
      deviceId,
      devicePublicKey: Buffer.from(deviceKey.publicKey),
      wireguardPublicKey,
    })),
    relayIds: [RELAY_ID],
    notBeforeSeconds: nowSeconds,
    notAfterSeconds: nowSeconds + 600n,
    ...changes,
  });
  return { signed: signGrant(payload, signingKey), grantId: payload.grantId };
}

/** A relay's sessions, with lanes that only write down what they are told. */
export function startSessions(limits: Partial<HubLimits> = {}) {
  const clock = new ManualClock(1_800_000_000_000);
  const carried = new Map<bigint, UdpLaneSession>();
  const followed = new Set<string>();
  const cut: string[] = [];
  const state = { hasRoom: true };
  let lastId = 0n;
  const verify = async (signed: SignedGrant, devices: 1 | 2) =>
    verifyGrant(signed, { relayId: RELAY_ID, keys: grantKeys, devices, nowMs: clock.now() });
  const hub = new SessionHub({
    relayId: RELAY_ID,
    limits: {
      attachments: 10,
      sessions: 10,
      sessionsPerTenant: 10,
      sessionsPerDevice: 10,
      session: { quotaBytes: Infinity, rateBytesPerSecond: Infinity },
      ...limits,
    },
    udpLane: {
      open: async (session) => {
        if (!state.hasRoom) return undefined;
        carried.set(session.sessionId, session);
        return [['192.0.2.1:20000'], ['192.0.2.1:20001']];
      },
      close: (sessionId) => void carried.delete(sessionId),
      drain: () => {},
    },
    tlsLane: {
      disconnect: (key) => void cut.push(Buffer.from(key).toString('hex')),
    },
    verify,
    follower: {
      follow: ({ grantId }) => void followed.add(grantId),
      unfollow: (grantId) => void followed.delete(grantId),
    },
    newSessionId: () => (lastId += 1n),
    clock,
  });
  const service = createSessionService({
    relayId: RELAY_ID,
    hub,
    verify,
    clock,
    heartbeatMs: 5_000,
    silenceMs: Infinity,
  });
  const open = (): TestStream => new TestStream(service);
  const attach = async (device: TestDevice): Promise<TestStream> => {
    const stream = open();
    await stream.attach(device, grantFor(clock, [device]).signed);
    await stream.heard('attached');
    return stream;
  };
  return { attach, carried, clock, cut, followed, hub, open, state };
}

/** A device's stream, in the same process. */
export class TestStream {
  readonly messages: Message[] = [];
  /** Resolves when the stream has ended, with the error where one ended it. */
  readonly ended: Promise<unknown>;
  readonly #ending = new AbortController();
  readonly #requests: { message: object }[] = [];
  #wake = Promise.withResolvers<void>();
  #reading: Promise<void> | undefined;

  constructor(service: ReturnType<typeof createSessionService>) {
    const client = createInMemoryClient(SessionServiceDefinition, service, { identity: null });
    const run = async (): Promise<void> => {
      // The cases are those of AttachRequest; tests say wrong things too.
      const requests = this.#outgoing() as AsyncIterable<AttachRequest>;
      for await (const { message } of client.attach(requests, { signal: this.#ending.signal })) {
        if (message !== undefined) this.messages.push(message);
        await this.#reading;
      }
    };
    this.ended = run().then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  say($case: string, value: object): void {
    this.#requests.push({ message: { $case, value } });
    this.#wake.resolve();
  }

  /** Proves the device's key for the pass. */
  async attach(device: TestDevice, pass: SignedGrant, proof: { relayId?: string } = {}) {
    const { nonce } = await this.heard('challenge');
    const statement = { relayId: RELAY_ID, nonce, passPayload: pass.payload, ...proof };
    const signature = Buffer.from(proveAttachment(statement, device.deviceKey));
    this.say('attachment', { pass, signature });
  }

  /** The last message of a kind, as soon as there are so many. */
  async heard<C extends Case>($case: C, count = 1): Promise<ValueOf<C>> {
    const { value } = await eventually(() => {
      const all = this.messages.filter((message) => message.$case === $case);
      if (all.length < count) throw new Error(`${$case} was heard ${all.length} times`);
      return { value: all.at(-1)?.value };
    });
    // Filtered by the case whose value it is.
    return value as ValueOf<C>;
  }

  /** Reads nothing more than one message until the result is called. */
  pause(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#reading = promise;
    return resolve;
  }

  async close(): Promise<void> {
    this.#ending.abort();
    this.#wake.resolve();
    await this.ended;
  }

  async *#outgoing(): AsyncGenerator<{ message: object }> {
    while (!this.#ending.signal.aborted) {
      const next = this.#requests.shift();
      if (next !== undefined) yield next;
      else {
        await this.#wake.promise;
        this.#wake = Promise.withResolvers<void>();
      }
    }
  }
}
