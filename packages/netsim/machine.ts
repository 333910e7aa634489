import { runChecked, runCommand } from './command.ts';
import type { CommandOptions, CommandResult } from './command.ts';
import { startProcess } from './host-process.ts';
import type { HostProcess } from './host-process.ts';

/**
 * One virtual machine's surroundings, held open by a process that waits on its standard input: the network namespace of
 * that name, its own mounts and its own host name. `/run` (and with it `/var/run`) is an empty file system of the
 * machine's own, so unix sockets such as `/var/run/wireguard/nx0.sock` of two machines never meet; `/sys` shows the
 * machine's interfaces; `/etc/hosts` and `/etc/resolv.conf` are copies of its own. All else is shared with this machine.
 */
export interface Machine {
  /** Runs a program inside to its end; as `runCommand`. */
  exec(argv: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Starts a program inside; as `startProcess`. The process id and signals are the program's own. */
  spawn(
    argv: readonly string[],
    options?: Pick<CommandOptions, 'cwd' | 'env'>,
  ): Promise<HostProcess>;
  /** Ends the holding process; the surroundings live on while other processes are inside. */
  close(): Promise<void>;
}

/** How long the mounts of a machine may take; a busy machine needs a fraction of it. */
const READY_DEADLINE_MS = 20_000;

/**
 * `$1` is the host name. `/run/netns` is detached first: copies of its mounts would keep other networks alive.
 */
const HOLDER_SCRIPT = `
set -e
umount -l /run/netns 2>/dev/null || true
umount -l /var/run/netns 2>/dev/null || true
mkdir -p /run
cp -L /etc/resolv.conf /dev/shm/resolv.$$ 2>/dev/null || : > /dev/shm/resolv.$$
cp -L /etc/hosts /dev/shm/hosts.$$ 2>/dev/null || : > /dev/shm/hosts.$$
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netsim /run/lock
mv /dev/shm/resolv.$$ /run/netsim/resolv.conf
mv /dev/shm/hosts.$$ /run/netsim/hosts
if [ "$(readlink -f /var/run)" != /run ]; then mount --rbind /run /var/run; fi
if [ -f /etc/resolv.conf ]; then mount --bind /run/netsim/resolv.conf /etc/resolv.conf; fi
if [ -f /etc/hosts ]; then mount --bind /run/netsim/hosts /etc/hosts; fi
mount -t sysfs sysfs /sys
hostname "$1"
echo ready
exec cat > /dev/null
`;

/** Opens the surroundings of a machine around an existing network namespace. */
export async function openMachine(namespace: string, hostname: string): Promise<Machine> {
  const inNamespace = ['nsenter', `--net=/run/netns/${namespace}`, '--'];
  const unshared = ['unshare', '--mount', '--uts', '--propagation', 'slave', '--'];
  const holder = await startProcess([
    ...inNamespace,
    ...unshared,
    'sh',
    '-c',
    HOLDER_SCRIPT,
    'sh',
    hostname,
  ]);
  try {
    await holder.waitForLine(/^ready$/, { deadlineMs: READY_DEADLINE_MS });
  } catch (error) {
    await holder.stop({ signal: 'SIGKILL' });
    throw error;
  }
  const inMachine = ['nsenter', `--target=${holder.pid}`, '--net', '--mount', '--uts', '--'];
  const enter = (argv: readonly string[], cwd = process.cwd()): readonly string[] => {
    return [...inMachine, 'env', `--chdir=${cwd}`, '--', ...argv];
  };
  return {
    exec: (argv, options = {}) =>
      runCommand(enter(argv, options.cwd), { ...options, cwd: undefined }),
    spawn: (argv, options = {}) => startProcess(enter(argv, options.cwd), { env: options.env }),
    async close() {
      holder.stdin.end();
      await holder.exited;
    },
  };
}

/** Writes kernel settings (`net.ipv4.ip_forward` and the like) of a network namespace. */
export async function setSysctls(
  namespace: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const script = 'while read -r key value; do echo "$value" > "/proc/sys/$key"; done';
  const stdin = Object.entries(settings).map(
    ([key, value]) => `${key.replaceAll('.', '/')} ${value}\n`,
  );
  await runChecked(['nsenter', `--net=/run/netns/${namespace}`, '--', 'sh', '-ec', script], {
    stdin: stdin.join(''),
  });
}
