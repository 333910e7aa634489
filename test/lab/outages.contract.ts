import { eventually } from '@nexodus/clock/testing';
import { type RunningPing, startPing } from '@nexodus/netsim';
import { describe, expect, test } from 'vitest';
import type { LabMachine } from './lab-machine.ts';
import type { Lab } from './lab.ts';
import { orderedPairs } from './measure-pairs.ts';

/** Five a second, as the promise about restarts says. */
const ECHO_INTERVAL_MS = 200;
/** Answers that must follow an event before the echoes are counted. */
const ECHOES_AFTER = 10;
/** Agents come back with jitter and growing pauses. */
const RECONNECT_DEADLINE_MS = 60_000;

/** Service and daemons fail, the traffic goes on. */
export function describeOutages(running: () => Lab): void {
  describe('while the service is away', () => {
    test('pings go on, and a change that a machine missed arrives when it is back', async () => {
      const lab = running();
      const [a, ...others] = lab.machines;
      if (a === undefined) throw new Error('a machine is there');
      await using echoes = await startEchoes(orderedPairs(lab.machines));
      await lab.service.stop();
      await eventually(async () => !(await a.status()).connected);
      await echoes.continue();
      const cut = await cutFromService(a, lab.serviceHost.ipv4);
      await lab.service.start();
      await Promise.all(others.map((machine) => isConnected(machine)));
      const g = await lab.join('g');
      await Promise.all(others.map((machine) => machine.knows(without(lab.machines, machine))));
      expect((await a.status()).connected).toBe(false);
      expect((await a.peers()).map(({ deviceId }) => deviceId)).not.toContain(g.deviceId);
      await cut.end();
      await a.knows(without(lab.machines, a), RECONNECT_DEADLINE_MS);
      expect(await echoes.stop()).toEqual([]);
      await using back = await startEchoes([
        [a, g],
        [g, a],
      ]);
      await back.continue();
      await lab.delete(g);
      await Promise.all(
        lab.machines.map((machine) => machine.knows(without(lab.machines, machine))),
      );
      await g.end('SIGKILL');
    });
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'at most one echo is lost when nexd ends by %s and starts again',
    async (signal) => {
      const lab = running();
      const [a, b] = lab.machines;
      if (a === undefined || b === undefined) throw new Error('two machines are there');
      await using echoes = await startEchoes([
        [a, b],
        [b, a],
      ]);
      await b.end(signal);
      await echoes.continue();
      await b.up();
      await b.knows(without(lab.machines, b));
      await echoes.continue();
      const lost = await echoes.stop();
      expect(lost.filter((direction) => direction.lost.length > 1)).toEqual([]);
    },
  );
}

function without(machines: readonly LabMachine[], one: LabMachine): readonly LabMachine[] {
  return machines.filter((machine) => machine !== one);
}

async function isConnected(machine: LabMachine): Promise<void> {
  await eventually(async () => (await machine.status()).connected, {
    timeoutMs: RECONNECT_DEADLINE_MS,
  });
}

/** Resets what a machine says to the service, both families, until `end`. */
async function cutFromService(machine: LabMachine, address: string) {
  const rules = `
table inet lab_cut {
  chain output {
    type filter hook output priority 100; policy accept;
    ip daddr ${address} meta l4proto tcp reject with tcp reset
  }
}
`;
  await machine.host.run('nft', ['-f', '-'], { stdin: rules });
  return {
    end: async () => void (await machine.host.run('nft', ['delete', 'table', 'inet', 'lab_cut'])),
  };
}

/** What one direction lost. */
interface Direction {
  readonly direction: string;
  /** Sequence numbers. */
  readonly lost: readonly number[];
}

/** Echoes on both families in several directions at once. */
interface Echoes extends AsyncDisposable {
  /** Waits until each direction has had some more answers. */
  continue(): Promise<void>;
  /** Ends them and gives the directions that lost something. */
  stop(): Promise<readonly Direction[]>;
}

async function startEchoes(pairs: readonly (readonly [LabMachine, LabMachine])[]): Promise<Echoes> {
  await using undo = new AsyncDisposableStack();
  const directions: { readonly direction: string; readonly echoes: RunningPing }[] = [];
  for (const [from, to] of pairs) {
    for (const address of [to.ipv4, to.ipv6]) {
      const echoes = undo.use(
        await startPing(from.host, address, { intervalMs: ECHO_INTERVAL_MS }),
      );
      directions.push({ direction: `${from.name} -> ${address}`, echoes });
    }
  }
  const proceed = async (more: number): Promise<void> => {
    const waits = directions.map(({ echoes }) => {
      const after = echoes.lastAnswered + more - 1;
      return echoes.waitForReply({ after, deadlineMs: 30_000 });
    });
    await Promise.all(waits);
  };
  await proceed(1);
  const stack = undo.move();
  return {
    continue: () => proceed(ECHOES_AFTER),
    stop: async () => {
      const results = await Promise.all(
        directions.map(async ({ direction, echoes }) => {
          const { lost } = await echoes.stop();
          return { direction, lost };
        }),
      );
      return results.filter(({ lost }) => lost.length > 0);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
