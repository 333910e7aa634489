/** A TURN client in front of WireGuard: what a device needs to use a TURN server as its relay. */
import { answerCalls, programConfig } from './answer-calls.ts';
import { startAskedWorker } from './ask-worker.ts';
import type { ChannelPlan, FromChannelEnd, ToChannelEnd } from './channel-end-thread.ts';

const worker = await startAskedWorker<ToChannelEnd, FromChannelEnd>({
  entry: new URL('./channel-end-thread.ts', import.meta.url),
  receiveOffload: true,
  data: programConfig<ChannelPlan>(),
});

const calls = {
  /** Allocates and binds. */
  open: (): Promise<FromChannelEnd> => worker.ask('open'),
};

/** What a client can be asked. */
export type ChannelEndCalls = typeof calls;

await answerCalls(calls, () => worker.stop());
