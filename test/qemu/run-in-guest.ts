import { runChecked, startProcess } from '@nexodus/netsim';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { GuestError } from './guest-error.ts';
import { prepareGuestImage } from './guest-image.ts';
import type { GuestImage } from './guest-image.ts';
import { findGuestKernel } from './guest-kernel.ts';
import type { GuestKernel } from './guest-kernel.ts';

/** What a guest is to do. */
export type GuestJob = {
  /**
   * A TypeScript file of this repository. It is bundled with all it imports, so it may import any workspace and package;
   * it cannot read files beside itself. It may call contract suites: see guest-vitest.ts.
   */
  readonly script: string;
  /** Further files, by their path in the script's working directory. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** The guest is killed, and the run fails, this long after it was started. Default 180,000; a run takes about 6,000. */
  readonly timeoutMs?: number;
  /** Memory of the guest. Default 768. */
  readonly memoryMb?: number;
};

/** What the script left behind. */
export type GuestResult = {
  /** The script's exit status. */
  readonly exitCode: number;
  /** Its standard output and error together. */
  readonly output: string;
  /** What the kernel and init said. */
  readonly console: string;
  /** From the start of the emulator to its end. */
  readonly durationMs: number;
};

const VITEST_OF_GUESTS = fileURLToPath(new URL('guest-vitest.ts', import.meta.url));

/** Lines of the console and the output that a GuestError shows. */
const SHOWN_LINES = 60;

/** `quiet` keeps warnings; `panic=-1` restarts at once, which ends the emulator. */
const KERNEL_ARGUMENTS = 'console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on';

/**
 * Runs a script by the pinned Node as root of a virtual machine of its own: one emulated processor (never /dev/kvm),
 * Debian's kernel with WireGuard, netem, nf_tables and bridges as modules, no network device, no disk that keeps
 * anything. `ip`, `tc`, `wg`, `nft`, `ping`, `iperf3`, `conntrack`, `ss` and busybox are in PATH, so netsim works inside.
 *
 * @throws GuestError when the guest cannot be prepared or booted, or misses the deadline.
 */
export async function runInGuest(job: GuestJob): Promise<GuestResult> {
  const kernel = findGuestKernel();
  const image = await prepareGuestImage(kernel);
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-guest-'));
  try {
    await packJob(job, folder);
    return await boot(job, kernel, image, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function packJob(job: GuestJob, folder: string): Promise<void> {
  const content = join(folder, 'job');
  await mkdir(content);
  const bundle = await rolldown({
    input: job.script,
    platform: 'node',
    resolve: { alias: { vitest: VITEST_OF_GUESTS } },
    // What CommonJS packages expect of their surroundings.
    transform: { define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' } },
  });
  await bundle.write({
    file: join(content, 'script.mjs'),
    format: 'esm',
    codeSplitting: false,
    sourcemap: 'inline',
  });
  await bundle.close();
  for (const [path, bytes] of Object.entries(job.files ?? {})) {
    await mkdir(dirname(join(content, path)), { recursive: true });
    await writeFile(join(content, path), bytes);
  }
  await runChecked(['tar', '-C', content, '-cf', join(folder, 'job.tar'), '.']);
}

async function boot(
  job: GuestJob,
  kernel: GuestKernel,
  image: GuestImage,
  folder: string,
): Promise<GuestResult> {
  const startedAt = performance.now();
  const timeoutMs = job.timeoutMs ?? 180_000;
  // The emulator dies with the thread that started it, however that one ends.
  const emulator = await startProcess([
    'setpriv',
    '--pdeathsig',
    'KILL',
    ...emulatorCommand(job, kernel, image, folder),
  ]);
  const deadline = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => deadline.resolve('late'), timeoutMs);
  let isLate: boolean;
  try {
    isLate = (await Promise.race([emulator.exited, deadline.promise])) === 'late';
  } finally {
    clearTimeout(timer);
    await emulator.stop({ signal: 'SIGKILL' });
  }
  const [console, output, status] = await Promise.all(
    ['console', 'output', 'status'].map((name) => readLog(folder, name)),
  );
  const exitCode = /^(\d+)\r?\n/.exec(status ?? '')?.[1];
  if (isLate || exitCode === undefined) {
    const why = isLate
      ? `the guest did not finish within ${timeoutMs} ms`
      : 'the guest ended without a result';
    throw new GuestError(
      [why, ...emulator.tail(), ...lastLines(console), ...lastLines(output)].join('\n'),
    );
  }
  return {
    exitCode: Number(exitCode),
    output: output ?? '',
    console: console ?? '',
    durationMs: performance.now() - startedAt,
  };
}

function emulatorCommand(
  job: GuestJob,
  kernel: GuestKernel,
  image: GuestImage,
  folder: string,
): readonly string[] {
  const machine = ['-accel', 'tcg', '-cpu', 'max', '-smp', '1', '-m', String(job.memoryMb ?? 768)];
  const bare = ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'];
  const system = ['-kernel', kernel.image, '-initrd', image.initrd, '-append', KERNEL_ARGUMENTS];
  const disks = [image.system, join(folder, 'job.tar')].flatMap((file) => [
    '-drive',
    `file=${file},format=raw,if=virtio,readonly=on`,
  ]);
  const serial = ['console', 'output', 'status'].flatMap((name) => [
    '-serial',
    `file:${join(folder, name)}`,
  ]);
  return ['qemu-system-x86_64', ...machine, ...bare, ...system, ...disks, ...serial];
}

async function readLog(folder: string, name: string): Promise<string> {
  return await readFile(join(folder, name), 'utf8').catch(() => '');
}

function lastLines(text = ''): readonly string[] {
  return text.trimEnd().split('\n').slice(-SHOWN_LINES);
}
