import { RpcError } from '@nexodus/rpc';
import type { Logger } from '@nexodus/telemetry';
import { CommandError } from '../command/command-error.ts';
import { ExitCode } from '../command/exit-code.ts';
import { openStateStore } from '../state/state-store.ts';
import { connectDaemon, type DaemonConnection } from './control-socket.ts';
import { openMachineParts } from './machine-parts.ts';

/** What `nexd down` is told. */
export interface DownOptions {
  readonly interfaceName: string;
  readonly stateDirectory: string;
  readonly socketPath: string;
  /** Also delete keys and enrolment. */
  readonly forget: boolean;
}

/** Time that a daemon may take to remove its tunnel. */
const DOWN_TIMEOUT_MS = 30_000;

/** Time between two looks at whether the daemon has ended. */
const POLL_MS = 50;

/**
 * Takes the tunnel down: through the daemon where one runs, else by itself. Afterwards nothing of it is left on the
 * machine; that there was nothing is no error.
 */
export async function runDown(
  options: DownOptions,
  environment: { readonly logger: Logger; readonly say: (line: string) => void },
): Promise<void> {
  const daemon = await connectDaemon(options.socketPath);
  if (daemon === undefined) await removeWithoutDaemon(options, environment);
  else await askDaemon(daemon, options);
  environment.say(
    options.forget
      ? 'down: nothing of the tunnel is left, keys and enrolment are deleted'
      : 'down: nothing of the tunnel is left; `nexd up` brings it back',
  );
}

async function askDaemon(daemon: DaemonConnection, options: DownOptions): Promise<void> {
  try {
    await daemon.client.down({ forget: options.forget }, { timeoutMs: DOWN_TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    throw new CommandError(
      ExitCode.environment,
      `nexd did not take the tunnel down (${error.message})`,
      'See its log; once it has ended, run the command again',
      { cause: error },
    );
  } finally {
    daemon.close();
  }
  await waitForEnd(options.socketPath);
}

/** The daemon answers before it ends; whoever starts a new one next must find socket and lock free. */
async function waitForEnd(socketPath: string): Promise<void> {
  const deadline = performance.now() + DOWN_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const daemon = await connectDaemon(socketPath);
    if (daemon === undefined) return;
    daemon.close();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new CommandError(
    ExitCode.environment,
    `nexd took the tunnel down, but has not ended after ${DOWN_TIMEOUT_MS / 1000} seconds`,
    'See its log, and end it before the next `nexd up`',
  );
}

async function removeWithoutDaemon(
  options: DownOptions,
  environment: { readonly logger: Logger },
): Promise<void> {
  const parts = await openMachineParts(options, environment);
  const store = await openStateStore(options.stateDirectory);
  try {
    await parts.remove();
    if (options.forget) await store.forget();
  } finally {
    store.close();
  }
}
