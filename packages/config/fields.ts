import { z } from 'zod';

/** Where a server listens: host and port. */
export interface ListenAddress {
  /** IP address or host name, without brackets. */
  host: string;
  /** Port; 0 lets the system choose. */
  port: number;
}

/** A `host:port` or `[ipv6]:port`. */
export const listenAddress = z.string().transform((text, context): ListenAddress => {
  const match = /^(?:\[(?<six>[0-9a-fA-F:.]+)\]|(?<host>[^:\s]+)):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.port);
  const host = match?.groups?.six ?? match?.groups?.host;
  if (host === undefined || port > 65_535) {
    context.addIssue({
      code: 'custom',
      message: 'must be host:port, such as 127.0.0.1:7443 or [::1]:7443',
    });
    return z.NEVER;
  }
  return { host, port };
});

/** Path of a file that holds a secret: secrets are never written into the configuration itself. */
export const secretFile = z.string().min(1);
