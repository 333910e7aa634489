import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createPair, introduce, removeMachines, show, shown } from './testing/machine.ts';
import type { Machine } from './testing/machine.ts';

const PORT = 7777;

/** A TCP server that sends back what it gets. */
const ECHO = `
  require('node:net').createServer((client) => client.pipe(client)).listen(${PORT}, '::', () => console.log('ready'));
`;

/** A TCP client that sends without pause and prints a line for each answer. */
const TALK = (address: string) => `
  const socket = require('node:net').connect(${PORT}, '${address}');
  setInterval(() => socket.write('x'), 20);
  socket.on('data', () => console.log('answer'));
`;

describe('a TCP flow through the tunnel', () => {
  let alpha: Machine;
  let beta: Machine;
  let stop: AbortController;
  let programs: Promise<void>[];

  beforeEach(async () => {
    [alpha, beta] = await createPair();
    stop = new AbortController();
    programs = [];
    await introduce(alpha, beta);
  });

  afterEach(async () => {
    stop.abort();
    await Promise.all(programs);
    await removeMachines([alpha, beta]);
  });

  /** Runs a program in a machine and counts its lines. */
  function runProgram(machine: Machine, source: string) {
    const heard = vi.fn<(line: string) => void>();
    const listener = { onLine: heard, signal: stop.signal };
    programs.push(machine.namespace.runner.follow('node', ['-e', source], listener));
    return heard;
  }

  async function talk(address: string) {
    const ready = runProgram(beta, ECHO);
    await vi.waitFor(() => expect(ready).toHaveBeenCalled(), { timeout: 10_000 });
    const answers = runProgram(alpha, TALK(address));
    await vi.waitFor(() => expect(answers.mock.calls.length).toBeGreaterThan(3), {
      timeout: 10_000,
    });
    return answers;
  }

  /** Waits until beta has dropped more of what arrives, and returns how many answers there were at the first drop. */
  async function untilDropped(answers: ReturnType<typeof runProgram>, packets: number) {
    const dropped = async () => (await beta.dataplane.status()).drops?.inputPackets ?? 0;
    const before = await dropped();
    const wait = (more: number) =>
      vi.waitFor(async () => expect(await dropped()).toBeGreaterThanOrEqual(before + more), {
        timeout: 20_000,
      });
    await wait(1);
    const heard = answers.mock.calls.length;
    await wait(packets);
    return heard;
  }

  test.each(['100.64.0.2', 'fd00:64::2'])(
    'to %s is cut, not only refused anew, when the policy is lost',
    async (address) => {
      const answers = await talk(address);
      await show(beta, [await shown(alpha)], 'drop-all');
      const heard = await untilDropped(answers, 3);
      expect(answers.mock.calls.length).toBe(heard);
    },
  );

  test('that was never seen to begin does not pass: the first packet must be SYN alone', async () => {
    const { interfaceName, run } = beta.namespace;
    await run(`nft delete table inet nexodus_${interfaceName}`);
    const answers = await talk('100.64.0.2');
    expect(await beta.dataplane.repair()).toContain('firewall-replace');
    const heard = await untilDropped(answers, 3);
    expect(answers.mock.calls.length).toBe(heard);
  });

  test('goes on while other peers come and go', async () => {
    const answers = await talk('100.64.0.2');
    const peer = await shown(alpha);
    const other = { ...(await shown(beta)), addresses: ['100.64.0.9'], endpoint: undefined };
    for (const peers of [[peer, other], [peer], [peer, other], [peer]]) await show(beta, peers);
    const heard = answers.mock.calls.length;
    await vi.waitFor(() => expect(answers.mock.calls.length).toBeGreaterThan(heard + 3));
    expect((await beta.dataplane.status()).drops?.inputPackets).toBe(0);
  });
});
