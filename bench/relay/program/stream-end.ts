/** An end of a stream of datagrams on a virtual host: sends at an even rate, or measures delays. */
import { answerCalls } from './answer-calls.ts';
import { startAskedWorker } from './ask-worker.ts';
import type { Endpoint } from './endpoint.ts';
import type { OpeningPlan } from './opening.ts';
import type { DelayReport, FromStreamEnd, StreamPlan, ToStreamEnd } from './stream-end-messages.ts';

const worker = await startAskedWorker<ToStreamEnd, FromStreamEnd>({
  entry: new URL('./stream-end-thread.ts', import.meta.url),
  receiveOffload: false,
});

const calls = {
  /** Opens the socket; gives its port. */
  async bind(address: string): Promise<number> {
    const said = await worker.ask({ do: 'bind', address });
    return said.told === 'bound' ? said.port : unexpected(said);
  },
  /** Gets the relay ready for what this end sends; gives the relayed address where there is one. */
  async open(argument: { relay: Endpoint; plan: OpeningPlan }): Promise<Endpoint | null> {
    const said = await worker.ask({ do: 'open', ...argument });
    return said.told === 'opened' ? (said.relayed ?? null) : unexpected(said);
  },
  /** Sends until the end of the plan. */
  async stream(plan: StreamPlan): Promise<void> {
    await worker.ask({ do: 'stream', plan }, plan.seconds * 1_000 + 10_000);
  },
  /** Measures what arrives from now on. */
  async expect(skipBefore: number): Promise<void> {
    await worker.ask({ do: 'expect', skipBefore });
  },
  /** What arrived since. */
  async report(): Promise<DelayReport> {
    const said = await worker.ask({ do: 'report' });
    return said.told === 'delays' ? said.report : unexpected(said);
  },
};

/** What a StreamEnd can be asked. */
export type StreamEndCalls = typeof calls;

function unexpected(said: FromStreamEnd): never {
  throw new Error(`the thread said ${said.told}`);
}

await answerCalls(calls, () => worker.stop());
