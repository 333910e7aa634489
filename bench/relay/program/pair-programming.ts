/** Measures how long nftables takes to learn a pair beside many, with the relay's own rules, on a virtual host. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseIpAddress } from '@nexodus/netip';
import { createNftProgrammer, type NftProgrammer } from '@nexodus/nftables';
import { preloadLibnftables } from '@nexodus/nftables/testing';
import { type Flow, ForwardingSwitch, NftOffload } from '@nexodus/relay/testing';
import { answerCalls, programConfig } from './answer-calls.ts';

/** What is measured. */
export interface PairProgrammingConfig {
  /** Address of the host. */
  readonly address: string;
  /** Pairs that are there before. */
  readonly present: number;
}

/** Milliseconds of each operation. */
export interface PairProgrammingReport {
  readonly addMs: readonly number[];
  readonly removeMs: readonly number[];
}

const FIRST_PORT = 20_000;
/** First address of the devices: 10.128.0.0. */
const FIRST_DEVICE = 0x0a80_0000;
const TABLE = 'inet nexodus_bench';

/** A programmer whose technology can be changed under way: the same rules, told in another manner. */
class SwitchedProgrammer implements NftProgrammer {
  current: NftProgrammer;

  constructor(first: NftProgrammer) {
    this.current = first;
  }

  get technology(): NftProgrammer['technology'] {
    return this.current.technology;
  }

  apply(commands: string): void {
    this.current.apply(commands);
  }

  query(command: string): unknown {
    return this.current.query(command);
  }

  show(command: string): string {
    return this.current.show(command);
  }

  close(): void {
    this.current.close();
  }
}

preloadLibnftables();
const { address, present } = programConfig<PairProgrammingConfig>();
const programmers = {
  library: await createNftProgrammer({ technology: 'library' }),
  command: await createNftProgrammer({ technology: 'command' }),
};
const programmer = new SwitchedProgrammer(programmers.library);
const offload = NftOffload.start({
  table: TABLE,
  ports: { first: FIRST_PORT, last: FIRST_PORT + 2 * (present + 1) - 1 },
  ipv4: address,
  ipv6: undefined,
  interfaces: [],
  forwarding: new ForwardingSwitch(join(tmpdir(), `nexodus-bench-${process.pid}.json`)),
  programmer,
});

const flowOf = (pair: number): Flow => {
  const side = (index: 0 | 1) => ({
    port: FIRST_PORT + 2 * pair + index,
    device: {
      address: parseIpAddress(addressText(FIRST_DEVICE + 2 * pair + index)),
      port: 51_820,
    },
  });
  return { sides: [side(0), side(1)], isOffloaded: true, limit: undefined };
};

function addressText(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');
}

const calls = {
  /** Programs the pairs that are there before. Takes some seconds. */
  fill(): void {
    for (let pair = 0; pair < present; pair += 1) {
      if (!offload.update(BigInt(pair), flowOf(pair))) throw new Error(`pair ${pair} was refused`);
    }
  },
  /** Adds and removes one more pair so many times. */
  measure(how: { technology: 'library' | 'command'; times: number }): PairProgrammingReport {
    const addMs: number[] = [];
    const removeMs: number[] = [];
    programmer.current = programmers[how.technology];
    const flow = flowOf(present);
    const timed = (wanted: Flow | undefined): number => {
      const startedAtMs = performance.now();
      if (!offload.update(BigInt(present), wanted)) throw new Error('the pair was refused');
      return performance.now() - startedAtMs;
    };
    for (let time = 0; time < how.times; time += 1) {
      addMs.push(timed(flow));
      removeMs.push(timed(undefined));
    }
    return { addMs, removeMs };
  },
};

/** What it can be asked. */
export type PairProgrammingCalls = typeof calls;

await answerCalls(calls, () => {
  programmer.current = programmers.library;
  offload.close();
  programmers.library.close();
  programmers.command.close();
});
