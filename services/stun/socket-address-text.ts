import type { ListenAddress } from '@nexodus/config';

/** The text of an address and port as clients and settings write it: `192.0.2.1:3478`, `[2001:db8::1]:3478`. */
export function formatSocketAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
