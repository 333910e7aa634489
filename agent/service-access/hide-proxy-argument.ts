import { takeArgument } from '../command/take-argument.ts';

/**
 * Where `--proxy` holds a password, starts this program anew with the proxy in its environment, which only its user can
 * read, instead of in its arguments, which everybody on the machine can: `https_proxy` means the same. The process keeps
 * its id, terminal and descriptors. Returns where there is nothing to hide.
 *
 * @param argv as `process.argv`
 */
export function hideProxyArgument(argv: readonly string[], env: NodeJS.ProcessEnv): void {
  const { rest, value } = takeArgument(argv, '--proxy');
  const [program] = rest;
  const isSecret = value?.includes('@') === true;
  if (!isSecret || program === undefined || process.execve === undefined) return;
  const variables = { ...env, https_proxy: value };
  process.execve(process.execPath, [program, ...process.execArgv, ...rest.slice(1)], variables);
}
