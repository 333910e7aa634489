import { basename } from 'node:path';
import { GuestError } from './guest-error.ts';

/** The kernel a guest boots. */
export type GuestKernel = {
  /** Its version, as `uname -r` prints it. */
  readonly release: string;
  /** bzImage for `qemu -kernel`. */
  readonly image: string;
  /** lib/modules/<release>, with modules.dep. */
  readonly modulesDir: string;
};

/**
 * The kernel that the tests' set-up unpacked and named in the environment.
 *
 * @throws GuestError when it named none.
 */
export function findGuestKernel(environment: NodeJS.ProcessEnv = process.env): GuestKernel {
  const image = environment['NEXODUS_TEST_KERNEL_IMAGE'];
  const modulesDir = environment['NEXODUS_TEST_KERNEL_MODULES'];
  if (image === undefined || modulesDir === undefined) {
    throw new GuestError(
      'no guest kernel: start the tests by `npm test`, or set NEXODUS_TEST_KERNEL_IMAGE and NEXODUS_TEST_KERNEL_MODULES',
    );
  }
  return { release: basename(modulesDir), image, modulesDir };
}
