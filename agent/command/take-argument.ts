/**
 * Splits an option and its value (`--name VALUE` or `--name=VALUE`, the last one where there are several) off the
 * arguments; what follows `--` is left alone.
 *
 * @param name with its dashes
 */
export function takeArgument(
  argv: readonly string[],
  name: string,
): { rest: readonly string[]; value: string | undefined } {
  const rest: string[] = [];
  let value: string | undefined;
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? '';
    if (argument === '--') return { rest: [...rest, ...argv.slice(index)], value };
    if (argument === name && index + 1 < argv.length) {
      value = argv[index + 1];
      index += 1;
    } else if (argument.startsWith(`${name}=`)) value = argument.slice(name.length + 1);
    else rest.push(argument);
  }
  return { rest, value };
}
