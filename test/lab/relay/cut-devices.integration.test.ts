import { eventually } from '@nexodus/clock/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabMachine } from '../lab-machine.ts';
import { answered, openRelayLab, pathTo, type RelayLab } from './relay-lab.ts';

let lab: RelayLab;

beforeAll(async () => {
  lab = await openRelayLab();
});

afterAll(() => lab?.[Symbol.asyncDispose]());

const PING_MS = 100;

/** Two machines that talk through the relay as datagrams. */
async function talkingPair(name: string): Promise<readonly [LabMachine, LabMachine]> {
  const { machine: a } = await lab.join(`a${name}`, 'apdm-apdf', ['--relay-only=udp']);
  const { machine: b } = await lab.join(`b${name}`, 'apdm-apdf', ['--relay-only=udp']);
  await eventually(async () => expect(await answered(a, b.ipv4, 1)).toBe(1), {
    timeoutMs: 30_000,
  });
  expect(await pathTo(a, b)).toMatchObject({ pathKind: 'relay-udp' });
  return [a, b];
}

/** Pings all the time; says when the last answer came. */
async function keepPinging(from: LabMachine, to: LabMachine) {
  const ping = await from.host.spawn('ping', ['-D', '-i', String(PING_MS / 1_000), to.ipv4]);
  await ping.waitForLine(/icmp_seq/, { deadlineMs: 10_000 });
  const lastAnswerAt = (): number => {
    const answers = ping.tail(ping.lineCount).filter((line) => line.includes('bytes from'));
    return Number(/^\[([\d.]+)\]/.exec(answers.at(-1) ?? '')?.[1] ?? NaN) * 1_000;
  };
  return { ping, lastAnswerAt };
}

test('a deleted device is cut by the relay within a second of the answer, though both daemons are gone', async () => {
  const [a, b] = await talkingPair('del');
  const { ping, lastAnswerAt } = await keepPinging(a, b);
  await Promise.all([a.end('SIGTERM'), b.end('SIGTERM')]);
  const endedAt = Date.now();
  await eventually(() => expect(lastAnswerAt()).toBeGreaterThan(endedAt + 1_000));
  await lab.administrator.text(['device', 'delete', b.deviceId]);
  const deletedAt = Date.now();
  // Nothing comes for a time in which thirty answers would.
  await eventually(() => expect(lastAnswerAt()).toBeLessThan(Date.now() - 30 * PING_MS), {
    timeoutMs: 20_000,
  });
  expect(lastAnswerAt() - deletedAt).toBeLessThan(1_000);
  await ping.stop({ signal: 'SIGKILL' });
});

test('the tunnel goes on through a relay while a daemon restarts, and nothing is left after down', async () => {
  const [a, b] = await talkingPair('re');
  const { ping, lastAnswerAt } = await keepPinging(a, b);
  await a.end('SIGTERM');
  await a.up();
  const upAt = Date.now();
  await eventually(() => expect(lastAnswerAt()).toBeGreaterThan(upAt + 2_000), {
    timeoutMs: 30_000,
  });
  const sequences = ping
    .tail(ping.lineCount)
    .flatMap((line) => /icmp_seq=(\d+)/.exec(line)?.[1] ?? [])
    .map(Number);
  const gaps = sequences.slice(1).map((number, index) => number - (sequences[index] ?? number));
  expect(Math.max(...gaps) * PING_MS).toBeLessThan(2_000);
  expect(await pathTo(a, b)).toMatchObject({ pathKind: 'relay-udp' });
  await ping.stop({ signal: 'SIGKILL' });
  await a.down();
  expect(await a.host.run('nft', ['list', 'tables'])).not.toContain('nexodus');
});
