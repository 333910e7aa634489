/**
 * How many inputs the fuzz test of a parser of outside bytes tries: `usual` ones, so that a test run stays short, or as many
 * as `NEXODUS_FUZZ_RUNS` says, for a long search (docs/contributing.md).
 *
 * @throws RangeError where the variable is no positive whole number
 */
export function fuzzRuns(usual: number): number {
  const { NEXODUS_FUZZ_RUNS: asked = '' } = process.env;
  if (asked === '') return usual;
  const runs = Number(asked);
  if (!Number.isSafeInteger(runs) || runs < 1)
    throw new RangeError(`NEXODUS_FUZZ_RUNS must be a positive whole number, not "${asked}"`);
  return runs;
}
