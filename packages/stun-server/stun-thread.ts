/** A thread of the server: what `startUdpWorker` starts. */
import { runUdpWorker } from '@nexodus/udp-batch';
import { StunProgram, type StunThreadData } from './stun-program.ts';

// open-stun-server.ts passes the data.
await runUdpWorker((loop, data) => new StunProgram(loop, data as StunThreadData));
