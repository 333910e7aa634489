/**
 * Tests of networks need root. Another user gets namespaces for the run (user_namespaces(7)) in which it is root: over
 * an empty network that has loopback alone, over mounts and over processes. The machine sees nothing of it, and all of
 * it ends with the run, however the run ends.
 *
 * The internet ends at the door, so the set-up comes before. One user id is mapped: files of all others belong to
 * nobody and cannot change hands.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { run } from '../setup/apt.ts';
import { standInFor } from '../setup/stand-in.mjs';

const TUN_DEVICE = '/dev/net/tun';

/**
 * The first process of the namespaces: `/run` is theirs (`ip netns` and control sockets write to it), then it waits for
 * the run. It stays a shell rather than becoming the run, because orphans come to the first process to be waited for.
 */
const FIRST_PROCESS = `
set -e
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
ip link set lo up
code=0
"$@" || code=$?
exit "$code"
`;

/** What lets a user make namespaces: Debian's switch, and the one that other distributions put on top. */
const HOW_TO_ALLOW =
  'kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0';

/** Whether this process can make networks as it is. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Why this user cannot make the namespaces, in the words of the program that failed; undefined if it can. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  const [program, ...args] = commandFor(['true']);
  return run(program, args).then(
    () => undefined,
    // Without the command line, which is long.
    (error: unknown) =>
      String(error)
        .replace(/^[^]* ended with \d+: /, '')
        .replaceAll(/\s+/g, ' '),
  );
}

/**
 * Runs a program in namespaces of its own, at this terminal. A signal to this process alone ends all that runs there.
 *
 * @returns its exit code, or 128 and the number of the signal that ended it
 */
export async function runInNamespaces(argv: readonly string[]): Promise<number> {
  const [program, ...args] = commandFor(argv);
  // It lies below the hidden /run.
  const { XDG_RUNTIME_DIR: _, ...env } = process.env;
  const child = spawn(program, args, { stdio: 'inherit', env });
  return standInFor(child, () => child.kill('SIGKILL'));
}

/**
 * What this machine withholds from the tests, a line each with what to do about it.
 *
 * @param noNamespaces from {@link whyNoNamespaces}
 */
export function findObstacles(
  noNamespaces?: string,
  tunDevice: string = TUN_DEVICE,
): readonly string[] {
  const obstacles: string[] = [];
  if (noNamespaces !== undefined)
    obstacles.push(
      `this user cannot make namespaces (${noNamespaces}), so tests of networks fail: run it as root, or allow them ` +
        `by those of these settings that the machine has: sysctl -w ${HOW_TO_ALLOW}`,
    );
  try {
    accessSync(tunDevice, constants.R_OK | constants.W_OK);
  } catch {
    obstacles.push(
      `${tunDevice} cannot be opened, so tests of tunnels fail: as root, modprobe tun && chmod 0666 ${tunDevice} ` +
        '(where udev runs, it does so at boot)',
    );
  }
  return obstacles;
}

function commandFor(argv: readonly string[]): readonly [string, ...string[]] {
  const namespaces = ['--user', '--map-root-user', '--mount', '--net', '--pid', '--mount-proc'];
  // The first process dies with its starter, and all others of its namespace with it.
  const unshare = ['--pdeathsig', 'KILL', '--', 'unshare', '--fork', '--kill-child', ...namespaces];
  return ['setpriv', ...unshare, '--', 'sh', '-c', FIRST_PROCESS, 'sh', ...argv];
}
