/**
 * Judges what `wireguard-go --version` prints.
 *
 * The package 0.0.20231211 of bookworm-backports, the first with segmentation offload both ways, prints
 * `v0.0.20230223`: the last tag before it. Debian 12's own 0.0.20220316 prints `v0.0.20220316` and carries TCP 5.5
 * times slower (docs: data plane measurements).
 */
export function judgeWireguardGoVersion(output: string): {
  /** As printed, without the `v`; `unknown` where there is none. */
  readonly version: string;
  readonly isAccepted: boolean;
} {
  const match = /^wireguard-go v?([0-9]+)\.([0-9]+)\.([0-9]+)/m.exec(output);
  if (match === null) return { version: 'unknown', isAccepted: false };
  const [major = 0, minor = 0, date = 0] = match.slice(1).map(Number);
  const isAccepted = major + minor > 0 || date >= OLDEST_PRINTED_DATE;
  return { version: `${major}.${minor}.${date}`, isAccepted };
}

/** What the oldest accepted package prints as its last part. */
const OLDEST_PRINTED_DATE = 20_230_223;
