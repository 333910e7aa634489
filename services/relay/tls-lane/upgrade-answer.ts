import type { IncomingMessage } from 'node:http';
import { DERP_VERSION } from '@nexodus/derp';
import { DERP_PATH, DERP_UPGRADE } from '@nexodus/derp/connection';

/** Whether a request is the one that begins the protocol: `GET /derp` with `Upgrade: DERP`. */
export function isDerpUpgrade({ method, url, headers }: IncomingMessage): boolean {
  const path = url?.split('?', 1)[0];
  return method === 'GET' && path === DERP_PATH && headers.upgrade?.toUpperCase() === DERP_UPGRADE;
}

/**
 * The answer after which both sides speak DERP. It is always sent, as a fast start is not offered: a client that does not
 * wait for it could only seal its box to a server key that it knew before.
 */
export function switchingProtocols(serverKey: Uint8Array): string {
  return headOf('101 Switching Protocols', [
    `Upgrade: ${DERP_UPGRADE}`,
    'Connection: Upgrade',
    `Derp-Version: ${DERP_VERSION}`,
    `Derp-Public-Key: ${Buffer.from(serverKey).toString('hex')}`,
  ]);
}

/** The answer to a request that does not begin the protocol. */
export function upgradeRequired(): string {
  return headOf('426 Upgrade Required', [
    `Upgrade: ${DERP_UPGRADE}`,
    'Connection: Upgrade, close',
    'Content-Length: 0',
  ]);
}

/** The answer where there is no room, or none any more. */
export function serviceUnavailable(): string {
  return headOf('503 Service Unavailable', ['Connection: close', 'Content-Length: 0']);
}

function headOf(status: string, headers: readonly string[]): string {
  return [`HTTP/1.1 ${status}`, ...headers, '', ''].join('\r\n');
}
