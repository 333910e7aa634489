/**
 * How `nexd` and `nexctl` end. Scripts rely on these numbers: docs/operations/exit-codes.md lists them, and none ever
 * changes its meaning.
 */
export const ExitCode = {
  ok: 0,
  /** A fault of the program: please report it. */
  unexpected: 1,
  /** The command line, an environment variable or a value was not acceptable. */
  usage: 2,
  /** No credentials, or ones that the service or this machine does not accept. */
  credentials: 3,
  permissionDenied: 4,
  notFound: 5,
  /** The state of a resource does not allow it, or something of that name or key exists. */
  conflict: 6,
  /** Nothing answers at the service URL, or something else than the service. */
  unreachable: 7,
  /** The service's certificate is not one that this machine believes. */
  untrusted: 8,
  /** The clocks of machine and service are more than 60 s apart. */
  clockSkew: 9,
  /** Rights, programs, devices, ports, names or addresses of this machine. */
  environment: 10,
  /** The state directory: disk full, damaged file, in use. */
  state: 11,
  /** The service has no more of something, or asks to come back later. */
  exhausted: 12,
} as const;

/** One of the numbers of `ExitCode`. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
