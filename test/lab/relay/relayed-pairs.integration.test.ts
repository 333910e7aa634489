/** Machines that cannot reach each other directly talk through a relay, by the lane that their networks let through. */
import { eventually } from '@nexodus/clock/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answered, openRelayLab, pathTo, type RelayLab } from './relay-lab.ts';

let lab: RelayLab;

beforeAll(async () => {
  lab = await openRelayLab();
});

afterAll(() => lab?.[Symbol.asyncDispose]());

describe('two machines', () => {
  test.for([
    ['apdm-apdf', 'apdm-apdf', 'udp', 'relay-udp', 'relay-udp'],
    ['apdm-apdf', 'carrier-grade', 'any', 'relay-udp', 'relay-udp'],
    ['apdm-apdf', 'apdm-apdf', 'tls', 'relay-tls', 'relay-tls'],
    ['udp-blocked', 'udp-blocked', 'any', 'relay-tls', 'relay-tls'],
    ['apdm-apdf', 'udp-blocked', 'any', 'relay-tls', 'relay-tls'],
    ['http-proxy-only', 'http-proxy-only', 'any', 'relay-tls', 'relay-tls'],
  ] as const)(
    'behind %s and %s with --relay-only=%s talk by %s',
    async ([left, right, demand, leftKind, rightKind], { task }) => {
      const name = `${task.id.split('_').at(-1)}`;
      const args = [demand === 'any' ? '--relay-only' : `--relay-only=${demand}`];
      const [a, b] = [
        await lab.join(`a${name}`, left, args),
        await lab.join(`b${name}`, right, args),
      ].map(({ machine }) => machine);
      if (a === undefined || b === undefined) throw new Error('unreachable: two were joined');
      await eventually(async () => expect(await answered(a, b.ipv4, 1)).toBe(1), {
        timeoutMs: 30_000,
      });
      expect(await answered(a, b.ipv4, 10)).toBe(10);
      expect(await answered(b, a.ipv6, 10)).toBe(10);
      expect(await pathTo(a, b)).toMatchObject({ pathKind: leftKind, relayId: 'relay' });
      expect(await pathTo(b, a)).toMatchObject({ pathKind: rightKind, relayId: 'relay' });
      const { relayed, homeRelayId } = await a.status();
      expect(homeRelayId).toBe('relay');
      expect(relayed.length).toBeGreaterThan(0);
      await a.down();
      await b.down();
    },
  );
});
