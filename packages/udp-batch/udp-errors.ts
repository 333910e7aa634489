/** A socket could not be opened. `code` is the name of the system's error, such as `EADDRINUSE`. */
export class UdpSocketError extends Error {
  override readonly name = 'UdpSocketError';
  readonly code: string;

  constructor(code: string, what: string) {
    super(`${what}: ${code}`);
    this.code = code;
  }
}

/** This machine cannot run an adapter; the message says why. */
export class UdpUnsupportedError extends Error {
  override readonly name = 'UdpUnsupportedError';
}
