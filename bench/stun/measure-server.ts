import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type HostProcess, startProcess } from '@nexodus/netsim';
import type { LoadCount, LoadPlan } from './load-thread.ts';
import type { MeasuredServer } from './stun-servers.ts';

/** How a server is measured. */
export interface MeasureOptions {
  /** Length of the measurement, after a warm-up. */
  readonly seconds: number;
  readonly signal: AbortSignal;
}

/** What was measured. */
export interface ServerMeasurement {
  readonly answersPerSecond: number;
  /** Processor time of the server's process for an answer, its system calls included, in microseconds. */
  readonly cpuMicrosPerAnswer: number;
  /** Share of its processor that the server used, 0 to 1. */
  readonly serverUse: number;
  /** Share of its processor that the load used, 0 to 1: near 1 the load was the limit. */
  readonly loadUse: number;
}

const ADDRESS = '127.0.0.1';
/** The load on one processor, the server alone on another. */
const LOAD_PROCESSOR = 0;
const SERVER_PROCESSOR = 1;
/** As many requests on their way as fill the batches of both ends, and no receive buffer. */
const LOAD = { sockets: 8, window: 48 };
const WARM_UP_MS = 1_000;
const START_DEADLINE_MS = 20_000;

/** Runs a server on a processor of its own and asks as much as it answers. */
export async function measureServer(
  server: MeasuredServer,
  options: MeasureOptions,
): Promise<ServerMeasurement> {
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-bench-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const place = { address: ADDRESS, port: await freePort(), folder };
  const running = await startProcess(alone(SERVER_PROCESSOR, server.command(place)));
  stack.use(running);
  const load = await startLoad({ ...place, ...LOAD, serverPid: running.pid });
  stack.use(load);
  await firstAnswer(load);
  return await measure(load, options);
}

async function measure(
  load: HostProcess,
  { seconds, signal }: MeasureOptions,
): Promise<ServerMeasurement> {
  await sleep(WARM_UP_MS, undefined, { signal });
  const before = await ask(load);
  await sleep(seconds * 1_000, undefined, { signal });
  const after = await ask(load);
  const elapsedSeconds = (after.atMs - before.atMs) / 1_000;
  const serverSeconds = after.serverCpuSeconds - before.serverCpuSeconds;
  const answers = after.answers - before.answers;
  if (after.strange > before.strange) throw new Error('a request was answered with an error');
  return {
    answersPerSecond: answers / elapsedSeconds,
    cpuMicrosPerAnswer: (serverSeconds * 1e6) / answers,
    serverUse: serverSeconds / elapsedSeconds,
    loadUse: (after.loadCpuSeconds - before.loadCpuSeconds) / elapsedSeconds,
  };
}

async function startLoad(plan: LoadPlan): Promise<HostProcess> {
  const program = fileURLToPath(new URL('./load.ts', import.meta.url));
  const command = [process.execPath, program, JSON.stringify(plan)];
  const load = await startProcess(alone(LOAD_PROCESSOR, command));
  await load.waitForLine(/^asking$/, { deadlineMs: START_DEADLINE_MS });
  return load;
}

/**
 * Pins a command to a processor. Root puts it far before everything else there, in its group of the scheduler
 * (sched(7), autogroups) too: other programs would change the figures.
 */
function alone(processor: number, command: readonly string[]): string[] {
  const first = ['sh', '-c', 'echo -20 >/proc/self/autogroup; exec nice -n -20 "$@"', 'sh'];
  const isRoot = process.getuid?.() === 0;
  return [...(isRoot ? first : []), 'taskset', '-c', String(processor), ...command];
}

/** The load asks again and again: it needs no word of the server to know that it answers. */
async function firstAnswer(load: HostProcess): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS;
  while ((await ask(load)).answers === 0) {
    if (performance.now() > deadline) throw new Error('the server does not answer');
    await sleep(50);
  }
}

async function ask(load: HostProcess): Promise<LoadCount> {
  const from = load.lineCount;
  load.stdin.write('\n');
  const [line] = await load.waitForLine(/^\{.*\}$/, { deadlineMs: START_DEADLINE_MS, from });
  // load-thread.ts wrote it.
  return JSON.parse(line) as LoadCount;
}

/** A port that was free a moment ago: not every server tells which one the system gave it. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, ADDRESS);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
