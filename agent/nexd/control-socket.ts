import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { NexdServiceDefinition } from '@nexodus/contracts/nexd';
import {
  type BoundService,
  createRpcClient,
  openChannel,
  type RpcClient,
  type RunningRpcServer,
  startRpcServer,
} from '@nexodus/rpc';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { systemErrorCode } from '../state/system-fault.ts';

/** Who calls over the socket: whoever its permissions let in. */
export type LocalCaller = 'local';

/** Owner and group may talk to the daemon. */
const SOCKET_MODE = 0o660;

/** While the socket is made it opens for its owner alone: `chmod` opens it to the group afterwards. */
const SOCKET_UMASK = 0o177;

/** A path of a unix socket is at most 107 bytes on Linux (unix(7)). */
const LONGEST_PATH_BYTES = 107;

/** Serves the daemon's API on its unix socket. @throws {CommandError} `environment` */
export async function serveControlSocket(
  path: string,
  service: BoundService<'local', LocalCaller>,
): Promise<RunningRpcServer> {
  await prepare(path);
  const before = process.umask(SOCKET_UMASK);
  try {
    const server = await startRpcServer({
      surface: 'local',
      address: `unix:${path}`,
      services: [service],
      authenticate: () => Promise.resolve<LocalCaller>('local'),
    });
    await chmod(path, SOCKET_MODE);
    return server;
  } catch (cause) {
    throw notUsable(path, systemErrorCode(cause) ?? 'it cannot be bound', cause);
  } finally {
    process.umask(before);
  }
}

/** A connection to the daemon. */
export interface DaemonConnection {
  readonly client: RpcClient<NexdServiceDefinition>;
  close(): void;
}

/**
 * Connects to the daemon of a socket; undefined where none listens.
 *
 * @throws {CommandError} `environment` where this user may not
 */
export async function connectDaemon(path: string): Promise<DaemonConnection | undefined> {
  const state = await probe(path);
  if (state === 'absent') return undefined;
  if (state === 'forbidden') {
    throw new CommandError(
      ExitCode.environment,
      `This user may not talk to nexd at ${path}`,
      'Run the command as root, or as a member of the group that owns the socket',
    );
  }
  const channel = openChannel({ address: `unix:${path}` });
  return {
    client: createRpcClient(NexdServiceDefinition, channel),
    close: () => channel.close(),
  };
}

async function prepare(path: string): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST_PATH_BYTES) {
    throw notUsable(path, `it is longer than ${LONGEST_PATH_BYTES} bytes`);
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o755 }).catch((cause: unknown) => {
    throw notUsable(path, systemErrorCode(cause) ?? 'its directory cannot be made', cause);
  });
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw notUsable(path, 'something that is no socket is there');
  if ((await probe(path)) !== 'absent') {
    throw new CommandError(
      ExitCode.environment,
      `Another nexd listens at ${path}`,
      'See `nexctl nexd status`; for a second one name another --interface, --state-dir and --socket',
    );
  }
  await unlink(path).catch((cause: unknown) => {
    throw notUsable(path, systemErrorCode(cause) ?? 'it cannot be replaced', cause);
  });
}

async function probe(path: string): Promise<'listening' | 'absent' | 'forbidden'> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve('listening');
    });
    socket.once('error', (error) => {
      const code = systemErrorCode(error);
      resolve(code === 'EACCES' || code === 'EPERM' ? 'forbidden' : 'absent');
    });
  });
}

function notUsable(path: string, why: string, cause?: unknown): CommandError {
  return new CommandError(
    ExitCode.environment,
    `The socket ${path} cannot be used: ${why}`,
    'Name another path with --socket',
    { cause },
  );
}
