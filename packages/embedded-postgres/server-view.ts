import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';

import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { existsHere } from './id-map.ts';
import { systemErrorCode } from './system-error.ts';

/**
 * How PostgreSQL's programs see the machine.
 *
 * For an ordinary user that is plain: same user, same paths. PostgreSQL refuses to run as root, though, so for root the
 * programs run under a user id of their own, which must be able to reach the binaries and the data wherever root keeps
 * them, also below directories only root may enter. Each program is therefore started in a private mount namespace, in
 * which the three directories it needs are bound below an empty tmpfs, and then gives up every privilege:
 *
 *     unshare --mount -> mount --bind (binaries, data, socket) -> setpriv --reuid ... -> postgres
 *
 * Nothing of it is visible outside and nothing is left over, because the mounts end with the last process inside. The
 * alternative, copying 60 MB of binaries to a place everybody can enter, would not help with the data, which has to
 * stay in the data directory.
 *
 * The user id has no account, so that no other service shares it and can signal or trace the server; a private
 * /etc/passwd gives it a name, because initdb asks for one. Data that belongs to some other unprivileged user already
 * keeps that user.
 *
 * Root of a user namespace may have no other id to give: often it maps the one user that made it. There the last step
 * is a user namespace of the server's own, in which that same user bears the server's id: the files need no new owner,
 * the privileges end all the same.
 *
 *     unshare --mount -> mount --bind (the same) -> unshare --user --map-user ... -> postgres
 *
 * Every program asks the kernel to be interrupted (SIGINT: fast shutdown) when the process that started it dies.
 */
export interface ServerView {
  /** The user that owns the cluster and runs the server, as this process sees it. */
  readonly uid: number;
  /** That user's group. */
  readonly gid: number;
  /** The account under which this process will connect, as the server names it. */
  readonly clientAccount: string;
  /** The cluster directory as the server sees it. */
  readonly clusterDirectory: string;
  /** The socket directory as the server sees it. */
  readonly socketDirectory: string;
  /** The command line that runs one of PostgreSQL's programs in this view. */
  command(program: 'initdb' | 'postgres', args: readonly string[]): readonly [string, ...string[]];
}

/** The directories PostgreSQL needs, as this process sees them. */
export interface ServerDirectories {
  readonly binaries: string;
  readonly clusterDirectory: string;
  readonly socketDirectory: string;
}

/** In the range that systemd's UIDS-GIDS document lists as unused (60578-61183), for user and group alike. */
const SERVER_ID = 60_989;

const SERVER_ACCOUNT = 'nexodus-postgres';

/** Directories of the Filesystem Hierarchy Standard that the server itself does not need. */
const MOUNT_POINTS = ['/mnt', '/media', '/srv', '/opt'];

const ENTER_VIEW = `
set -e
view=$1 binaries=$2 cluster=$3 socket=$4 id=$5 how=$6
shift 6
mount -t tmpfs -o mode=0755,size=64k,nosuid,nodev tmpfs "$view"
mkdir "$view/native" "$view/cluster" "$view/socket"
mount --bind "$binaries" "$view/native"
mount --bind "$cluster" "$view/cluster"
mount --bind "$socket" "$view/socket"
printf 'root:x:0:0::/:/bin/sh\\n${SERVER_ACCOUNT}:x:%s:%s::/:/bin/sh\\n' "\${id%:*}" "\${id#*:}" > "$view/passwd"
mount --bind "$view/passwd" /etc/passwd
cd /
if [ "$how" = map ]; then
  exec unshare --user --map-user="\${id%:*}" --map-group="\${id#*:}" -- \\
    setpriv --no-new-privs --pdeathsig INT -- "$@"
fi
exec setpriv --reuid "\${id%:*}" --regid "\${id#*:}" --clear-groups --no-new-privs --pdeathsig INT -- "$@"
`;

/**
 * Decides under which user PostgreSQL runs: this process's own or another. Its own can be root only where no other user
 * id exists; then the server sees itself under another one.
 *
 * @throws EmbeddedPostgresError `NOT_PERMITTED` as root in a container that may not create mount namespaces, and for a
 * user without an account; `UNSUPPORTED_PLATFORM` without util-linux.
 */
export async function chooseServerUser(
  clusterDirectory: string,
): Promise<{ uid: number; gid: number }> {
  const owner = await stat(clusterDirectory).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  if (uid === undefined || gid === undefined) {
    throw new EmbeddedPostgresError(
      'UNSUPPORTED_PLATFORM',
      'the embedded PostgreSQL runs on Linux only',
    );
  }
  if (uid !== 0) {
    if (owner === undefined || owner.uid === uid) return { uid, gid };
    throw new EmbeddedPostgresError(
      'NOT_PERMITTED',
      `${clusterDirectory} belongs to user id ${owner.uid}; start as root or choose another data directory`,
    );
  }
  await requireMountNamespaces();
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  return (await existsHere(SERVER_ID)) ? { uid: SERVER_ID, gid: SERVER_ID } : { uid, gid };
}

/** The view in which the chosen user finds `directories`. */
export function createServerView(
  directories: ServerDirectories,
  user: { uid: number; gid: number },
): ServerView {
  if (process.getuid?.() !== 0) {
    return {
      ...user,
      clientAccount: ownAccount(),
      clusterDirectory: directories.clusterDirectory,
      socketDirectory: directories.socketDirectory,
      command: (program, args) => [
        'setpriv',
        '--pdeathsig',
        'INT',
        '--',
        join(directories.binaries, 'bin', program),
        ...args,
      ],
    };
  }
  const { binaries, clusterDirectory, socketDirectory } = directories;
  const view = chooseMountPoint([binaries, clusterDirectory, socketDirectory]);
  const isMappedInside = user.uid === 0;
  const id = isMappedInside ? `${SERVER_ID}:${SERVER_ID}` : `${user.uid}:${user.gid}`;
  const how = isMappedInside ? 'map' : 'become';
  const places = [view, binaries, clusterDirectory, socketDirectory, id, how];
  return {
    ...user,
    clientAccount: isMappedInside ? SERVER_ACCOUNT : 'root',
    clusterDirectory: join(view, 'cluster'),
    socketDirectory: join(view, 'socket'),
    command: (program, args) => [
      'unshare',
      '--mount',
      '--propagation',
      'private',
      '--',
      'sh',
      '-c',
      ENTER_VIEW,
      'enter-view',
      ...places,
      join(view, 'native/bin', program),
      ...args,
    ],
  };
}

/** The first mount point that hides none of `paths`. */
export function chooseMountPoint(paths: readonly string[]): string {
  const free = MOUNT_POINTS.find((point) =>
    paths.every((path) => path !== point && !path.startsWith(`${point}/`)),
  );
  if (free === undefined) {
    throw new EmbeddedPostgresError(
      'NOT_PERMITTED',
      `one of ${MOUNT_POINTS.join(', ')} must be free of PostgreSQL data`,
    );
  }
  return free;
}

async function requireMountNamespaces(): Promise<void> {
  const [status] = await once(
    spawn('unshare', ['--mount', 'true'], { stdio: 'ignore' }),
    'close',
  ).catch((cause: unknown) => {
    const message = 'the program unshare cannot be run; install the package util-linux';
    throw new EmbeddedPostgresError('UNSUPPORTED_PLATFORM', message, { cause });
  });
  if (status === 0) return;
  throw new EmbeddedPostgresError(
    'NOT_PERMITTED',
    'PostgreSQL does not run as root, and this root may not create a mount namespace to run it as another user; ' +
      'start as an ordinary user, grant CAP_SYS_ADMIN, or configure the URL of a PostgreSQL server',
  );
}

function ownAccount(): string {
  try {
    return userInfo().username;
  } catch (cause) {
    throw new EmbeddedPostgresError(
      'NOT_PERMITTED',
      'this user id has no account, and PostgreSQL needs its name; add one to /etc/passwd or start as another user',
      { cause },
    );
  }
}
