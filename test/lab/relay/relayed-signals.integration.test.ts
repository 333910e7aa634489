import { randomBytes } from 'node:crypto';
import { eventually } from '@nexodus/clock/testing';
import { deriveProbePair, type Signal, SignalChannel } from '@nexodus/probe';
import { afterEach, describe, expect, test } from 'vitest';
import { type Fleet, type FleetDevice, startFleet } from './relay-fleet.ts';

let fleet: Fleet;

afterEach(() => fleet?.[Symbol.asyncDispose]());

/** What a device says to the other and makes of what it hears. */
class Talker {
  readonly #device: FleetDevice;
  readonly #peer: FleetDevice;
  readonly #channel: SignalChannel;
  #read = 0;

  constructor(device: FleetDevice, peer: FleetDevice) {
    this.#device = device;
    this.#peer = peer;
    const pair = deriveProbePair(device.keys.disco, peer.keys.disco.publicKey);
    if (pair === undefined) throw new Error('two devices have two keys');
    this.#channel = new SignalChannel(pair);
  }

  /** Whether a relay took it. */
  say(nomination: bigint): boolean {
    const signal: Signal = { kind: 'accept', nomination };
    const sealed = this.#channel.seal(signal, { nowMs: Date.now(), random: randomBytes });
    return this.#device.paths.sendSignal(this.#peer.deviceId, sealed);
  }

  /** Numbers that were heard since it was asked last. */
  heard(): bigint[] {
    const fresh = this.#device.heard.slice(this.#read);
    this.#read += fresh.length;
    return fresh.flatMap(({ peerId, sealed }) => {
      expect(peerId).toBe(this.#peer.deviceId);
      const verdict = this.#channel.open(sealed);
      return verdict.ok && verdict.signal.kind === 'accept' ? [verdict.signal.nomination] : [];
    });
  }
}

const carriers = (): string[] => fleet.devices.map(({ relayId }) => relayId);

async function start(demand: 'udp' | 'tls'): Promise<readonly [Talker, Talker]> {
  fleet = await startFleet(2, demand);
  await eventually(() => {
    expect(carriers()).not.toContain('');
    expect(new Set(carriers()).size).toBe(1);
  });
  const [a, b] = fleet.devices;
  return [new Talker(a, b), new Talker(b, a)];
}

/** Says a number until the other hears it. */
async function reach(from: Talker, to: Talker, number: bigint): Promise<void> {
  await eventually(() => {
    from.say(number);
    expect(to.heard()).toContain(number);
  });
}

describe.for(['udp', 'tls'] as const)('where packets go in the %s lane', (demand) => {
  test('signals reach the peer in order, and it opens them', async () => {
    const [a, b] = await start(demand);
    const numbers = [1n, 2n, 3n, 4n, 5n];
    for (const number of numbers) expect(a.say(number)).toBe(true);
    const heard: bigint[] = [];
    await eventually(() => {
      heard.push(...b.heard());
      expect(heard).toEqual(numbers);
    });
    await reach(b, a, 6n);
  });
});

test('signals go by another relay when the one in use dies, and nothing is said to be sent where none can take it', async () => {
  const [a, b] = await start('udp');
  const [before] = carriers();
  await reach(a, b, 1n);
  fleet.relays.find(({ relayId }) => relayId === before)?.cut();
  await reach(a, b, 2n);
  await reach(b, a, 3n);
  for (const relay of fleet.relays) relay.cut();
  await eventually(() => expect(a.say(4n)).toBe(false));
});

test('there is no signal to a device that is no peer', async () => {
  await start('udp');
  const [a] = fleet.devices;
  expect(a.paths.sendSignal('stranger', Uint8Array.of(1))).toBe(false);
});
