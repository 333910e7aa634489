import type { CommandRunner } from './command-runner.ts';

/**
 * Whether an interface of the machine may hold IPv6 addresses: false where the kernel has no IPv6, or where it is
 * switched off for the interface, or, while there is no such interface, for new ones.
 */
export async function hasIpv6(runner: CommandRunner, interfaceName: string): Promise<boolean> {
  const isOff = async (scope: string) => {
    const path = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`;
    const { exitCode, stdout } = await runner.probe('cat', [path]);
    return exitCode === 0 ? stdout.trim() === '1' : undefined;
  };
  const own = await isOff(interfaceName);
  if (own !== undefined) return !own;
  // Without any such file the kernel has no IPv6.
  return !((await isOff('default')) ?? true) && !((await isOff('all')) ?? true);
}
