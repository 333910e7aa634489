import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { DerpConnectionError } from './derp-connection-error.ts';

/** Where servers of the protocol answer. */
export const DERP_PATH = '/derp';

/** What `Upgrade` is called with; compared without case. */
export const DERP_UPGRADE = 'DERP';

/** Length of a channel binding (RFC 9266 section 4.2). */
const CHANNEL_BINDING_BYTES = 32;

/** What a server is asked for. */
export interface DerpUpgradeRequest {
  /** Name or address that the server is reached by, for the `Host` header. */
  readonly host: string;
  /** Default `/derp`. */
  readonly path?: string;
  /** Gives the attempt up. The stream is destroyed then, as after each failure. */
  readonly signal?: AbortSignal;
}

/**
 * Makes the stream to an HTTP/1.1 server one that speaks DERP, and gives the bytes of DERP that came together with the
 * answer. The answer is waited for: no fast start.
 *
 * @throws {DerpConnectionError} `refused` with the status where the server answers otherwise; `closed`, `aborted`
 */
export function requestDerpUpgrade(stream: Duplex, ask: DerpUpgradeRequest): Promise<Uint8Array> {
  const { host, path = DERP_PATH, signal } = ask;
  const done = Promise.withResolvers<Uint8Array>();
  const fail = (error: DerpConnectionError): void => {
    stream.destroy();
    done.reject(error);
  };
  const upgrade = request({
    createConnection: () => stream,
    path,
    setHost: false,
    headers: { Host: host, Connection: 'Upgrade', Upgrade: DERP_UPGRADE },
    signal,
  });
  upgrade.on('upgrade', (response, _socket, head) => {
    const isDerp = response.headers.upgrade?.toUpperCase() === DERP_UPGRADE;
    if (isDerp) done.resolve(head);
    else fail(new DerpConnectionError('refused', 'The server changes to another protocol.'));
  });
  upgrade.on('response', ({ statusCode }) => {
    fail(new DerpConnectionError('refused', `The server answers with HTTP status ${statusCode}.`));
  });
  upgrade.on('error', (cause) => {
    const reason = signal?.aborted === true ? 'aborted' : 'closed';
    const message = 'The connection ended before the server answered.';
    fail(new DerpConnectionError(reason, message, { cause }));
  });
  upgrade.end();
  return done.promise;
}

/**
 * What names the TLS connection under a stream: its tls-exporter (RFC 9266), the same on both ends of one connection and
 * of no other. Undefined where the stream is not TLS.
 */
export function channelBindingOf(stream: Duplex): Uint8Array | undefined {
  if (!(stream instanceof TLSSocket)) return undefined;
  return stream.exportKeyingMaterial(
    CHANNEL_BINDING_BYTES,
    'EXPORTER-Channel-Binding',
    Buffer.alloc(0),
  );
}
