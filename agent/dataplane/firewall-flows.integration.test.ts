import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { planDevice } from './core/device-plan.ts';
import {
  createPair,
  introduce,
  openDataplane,
  removeMachines,
  show,
  shown,
} from './testing/machine.ts';
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

/** Rules of another hand that make the machine track every flow. */
const OTHER_TRACKER = `
  table inet other {
    chain seen { type filter hook input priority 0; policy accept; ct state established accept; }
  }
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

  /** Opens a flow between the machines, towards a server at `address`, and counts the answers that the client hears. */
  async function talk(client: Machine, server: Machine, address: string) {
    const ready = runProgram(server, ECHO);
    await vi.waitFor(() => expect(ready).toHaveBeenCalled(), { timeout: 10_000 });
    const answers = runProgram(client, TALK(address));
    await goesOn(answers);
    return answers;
  }

  async function goesOn(answers: ReturnType<typeof runProgram>) {
    const heard = answers.mock.calls.length;
    await vi.waitFor(() => expect(answers.mock.calls.length).toBeGreaterThan(heard + 3), {
      timeout: 10_000,
    });
  }

  /**
   * Waits until beta has dropped more and more of one direction. Alpha's TCP sends anew after 0.2, 0.4, 0.8 ... s, so
   * answers that beta let pass before the first drop are heard long before the third, and the fifth comes after about
   * 3 s. What beta drops of its own is a burst of about ten packets (the initial window) and then two per second.
   */
  async function isCut(answers: ReturnType<typeof runProgram>) {
    const dropped = async (packets: number) =>
      vi.waitFor(
        async () => {
          const { drops } = await beta.dataplane.status();
          const { inputPackets = 0, outputPackets = 0 } = drops ?? {};
          expect(Math.max(inputPackets, outputPackets / 4)).toBeGreaterThanOrEqual(packets);
        },
        { timeout: 20_000 },
      );
    await dropped(3);
    const heard = answers.mock.calls.length;
    await dropped(5);
    expect(answers.mock.calls.length).toBe(heard);
  }

  const removeTable = async ({ namespace: { run, interfaceName } }: Machine) =>
    run(`nft delete table inet nexodus_${interfaceName}`);

  const addOtherTracker = async ({ namespace: { runner } }: Machine) =>
    runner.run('nft', ['-f', '-'], { stdin: OTHER_TRACKER });

  test.each(['100.64.0.2', 'fd00:64::2'])(
    'to %s is cut, not only refused anew, when the policy is lost',
    async (address) => {
      const answers = await talk(alpha, beta, address);
      await show(beta, [await shown(alpha)], 'drop-all');
      await isCut(answers);
    },
  );

  test('that was never seen to begin does not pass: the first packet must be SYN alone', async () => {
    await removeTable(beta);
    const answers = await talk(alpha, beta, '100.64.0.2');
    expect(await beta.dataplane.repair()).toContain('firewall-replace');
    await isCut(answers);
  });

  test.each(['100.64.0.2', 'fd00:64::2'])(
    'to %s that only others tracked from its beginning does not pass',
    async (address) => {
      await addOtherTracker(beta);
      await removeTable(beta);
      const answers = await talk(alpha, beta, address);
      expect(await beta.dataplane.repair()).toContain('firewall-replace');
      await isCut(answers);
    },
  );

  test.each(['100.64.0.1', 'fd00:64::1'])(
    'outward to %s that only others tracked from its beginning does not pass',
    async (address) => {
      await addOtherTracker(beta);
      await removeTable(beta);
      const answers = await talk(beta, alpha, address);
      expect(await beta.dataplane.repair()).toContain('firewall-replace');
      await isCut(answers);
    },
  );

  test.each(['untracked', 'tracked'])(
    'goes on when nexd starts anew on a machine %s by others',
    async (tracking) => {
      if (tracking === 'tracked') await addOtherTracker(beta);
      const answers = await talk(alpha, beta, '100.64.0.2');
      const restarted = await openDataplane(beta.namespace, beta.privateKey);
      const { addresses } = beta;
      await restarted.apply(planDevice({ addresses, peers: [await shown(alpha)] }));
      await goesOn(answers);
      expect((await restarted.status()).drops?.inputPackets).toBe(0);
    },
  );

  test.each(['untracked', 'tracked'])(
    'that was seen to begin goes on after the table was lost and repaired on a machine %s by others',
    async (tracking) => {
      if (tracking === 'tracked') await addOtherTracker(beta);
      const answers = await talk(alpha, beta, '100.64.0.2');
      await removeTable(beta);
      await goesOn(answers);
      expect(await beta.dataplane.repair()).toContain('firewall-replace');
      await goesOn(answers);
    },
  );

  test('goes on while other peers come and go', async () => {
    const answers = await talk(alpha, beta, '100.64.0.2');
    const peer = await shown(alpha);
    const other = { ...(await shown(beta)), addresses: ['100.64.0.9'], endpoint: undefined };
    for (const peers of [[peer, other], [peer], [peer, other], [peer]]) await show(beta, peers);
    await goesOn(answers);
    expect((await beta.dataplane.status()).drops?.inputPackets).toBe(0);
  });
});
