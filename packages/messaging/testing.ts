import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually } from '@nexodus/clock/testing';

/** A NATS server with JetStream for the tests of one file. */
export interface TestNats {
  /** Such as `nats://127.0.0.1:41234`; the same after `restart`. */
  readonly url: string;
  /** Kills the server as a crash would. */
  kill(): Promise<void>;
  /** Starts it again on the same port and the same data. */
  restart(): Promise<void>;
  /** Kills the server and removes everything. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts the `nats-server` of the PATH on a free port of 127.0.0.1.
 *
 * @param configuration further lines for its configuration file, such as `authorization { ... }`
 */
export async function startTestNats(configuration = ''): Promise<TestNats> {
  const directory = await mkdtemp(join(tmpdir(), 'nexodus-test-nats-'));
  const configurationFile = join(directory, 'nats.conf');
  await writeFile(
    configurationFile,
    `jetstream { store_dir: "${join(directory, 'store')}" }\n${configuration}\n`,
  );
  const start = (port: number): Promise<RunningServer> =>
    startServer(directory, configurationFile, port);
  let running = await start(-1);
  const { port } = running;
  const kill = async (): Promise<void> => {
    if (running.process.exitCode !== null || running.process.signalCode !== null) return;
    const ended = once(running.process, 'exit');
    running.process.kill('SIGKILL');
    await ended;
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    kill,
    restart: async () => {
      await kill();
      running = await start(port);
    },
    stop: async () => {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

interface RunningServer {
  readonly process: ChildProcess;
  readonly port: number;
}

async function startServer(
  directory: string,
  configurationFile: string,
  port: number,
): Promise<RunningServer> {
  const args = [
    '--config',
    configurationFile,
    '--addr',
    '127.0.0.1',
    '--port',
    String(port),
    '--ports_file_dir',
    directory,
  ];
  // The kernel ends it with the test process, however that ends.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'nats-server', ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    log = (log + chunk).slice(-4_096);
  });
  const failed = once(child, 'exit').then(() => {
    throw new Error(`nats-server ended: ${log}`);
  });
  failed.catch(() => undefined);
  const ready = eventually(async () => {
    const ports: unknown = JSON.parse(
      await readFile(join(directory, `nats-server_${child.pid}.ports`), 'utf8'),
    );
    return portOf(ports);
  });
  const found = await Promise.race([ready, failed]);
  return { process: child, port: found };
}

function portOf(ports: unknown): number {
  if (typeof ports === 'object' && ports !== null && 'nats' in ports && Array.isArray(ports.nats)) {
    return Number(new URL(String(ports.nats[0])).port);
  }
  throw new Error('nats-server did not name its port');
}
