import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { connectDaemon, type DaemonConnection } from '../nexd/control-socket.ts';
import { defaultSocketPath } from '../nexd/machine-paths.ts';

/** Options that name a daemon of this machine. */
export interface DaemonFlags {
  readonly interface: string;
  readonly socket?: string;
}

/**
 * Makes calls to a daemon of this machine.
 *
 * @throws {CommandError} `unreachable` where none listens, `environment` where this user may not
 */
export async function withDaemon<T>(
  flags: DaemonFlags,
  calls: (daemon: DaemonConnection) => Promise<T>,
): Promise<T> {
  const path = flags.socket ?? defaultSocketPath(flags.interface);
  const daemon = await connectDaemon(path);
  if (daemon === undefined) {
    throw new CommandError(
      ExitCode.unreachable,
      `No nexd listens at ${path}`,
      'Start it with `nexd up`, or name its socket with --socket',
    );
  }
  try {
    return await calls(daemon);
  } finally {
    daemon.close();
  }
}
