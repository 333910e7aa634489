/**
 * What kept the data plane from doing what it was asked:
 * `no-root` CAP_NET_ADMIN is missing; `no-tun` /dev/net/tun cannot be opened; `interface-taken` the interface name (or
 * its UAPI socket) belongs to something else; `address-collision` an own tunnel address lies in an on-link prefix of
 * another interface; `port-taken` the UDP port of the tunnel is bound by another socket; `command-missing` a program is
 * not installed; `command-failed` a program refused; `wireguard-go-too-old`; `tunnel-failed` the WireGuard
 * implementation did not start, answer or obey; `unreadable-output` a program or socket answered with something that
 * is not its documented format; `invalid-plan` the plan contradicts itself; `names-unavailable` the name resolver
 * could not listen.
 */
export type DataplaneReason =
  | 'no-root'
  | 'no-tun'
  | 'interface-taken'
  | 'address-collision'
  | 'port-taken'
  | 'command-missing'
  | 'command-failed'
  | 'wireguard-go-too-old'
  | 'tunnel-failed'
  | 'unreadable-output'
  | 'invalid-plan'
  | 'names-unavailable';

/**
 * The only error that the data plane throws. `message` is one sentence naming the cause, `remedy` one sentence saying
 * what the person at the machine can do; neither ever holds key material.
 */
export class DataplaneError extends Error {
  readonly reason: DataplaneReason;
  readonly remedy: string;

  constructor(reason: DataplaneReason, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DataplaneError';
    this.reason = reason;
    this.remedy = remedy;
  }
}

/** The error for an answer of `source` (a command or a socket) that is not in its documented format. */
export function unreadable(source: string, detail: string, options?: ErrorOptions): DataplaneError {
  return new DataplaneError(
    'unreadable-output',
    `${source} answered with something unexpected: ${detail}.`,
    `Check the installed version of ${source}.`,
    options,
  );
}
