import { execFile } from 'node:child_process';

/**
 * Tells systemd how the daemon stands (sd_notify(3)), by the program systemd-notify, because Node.js has no datagram
 * unix sockets. The unit needs NotifyAccess=all. Does nothing where no service manager asked to be told, or where the
 * program is absent; it never fails.
 *
 * @param states such as "READY=1" and "STATUS=..."
 */
export async function notifyServiceManager(
  states: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  if (env.NOTIFY_SOCKET === undefined || env.NOTIFY_SOCKET === '') return;
  const args = [`--pid=${process.pid}`, ...states];
  await new Promise<void>((resolve) => {
    execFile('systemd-notify', args, { env, timeout: 5_000 }, () => resolve());
  });
}
