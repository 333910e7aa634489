/** The thread of a lane: what `startUdpWorker` starts. */
import { createNftProgrammer } from '@nexodus/nftables';
import { runUdpWorker } from '@nexodus/udp-batch';
import { createMac1Verifier } from '@nexodus/wireguard';
import type { LaneData } from './lane-messages.ts';
import { LaneProgram } from './lane-program.ts';
import { type OffloadAttempt, prepareOffload } from './open-offload.ts';

const verifyMac1 = await createMac1Verifier();
// Made before the loop runs: nothing can be awaited in it. Whether it is wanted the program learns only then.
const programmer = await createNftProgrammer().catch((error: unknown) =>
  error instanceof Error ? error : new Error(String(error)),
);
let offload: OffloadAttempt | undefined;
try {
  await runUdpWorker((loop, data) => {
    // worker-udp-lane.ts passes it.
    const laneData = data as LaneData;
    const prepared = prepareOffload(laneData, programmer);
    offload = prepared;
    return new LaneProgram({ loop, data: laneData, verifyMac1, openOffload: prepared.open });
  });
} finally {
  offload?.close();
}
