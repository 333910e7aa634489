import { z } from 'zod';
import { DerpFormatError } from './derp-format-error.ts';
import { DERP_VERSION } from './wire-format.ts';

/** What a client says about itself in its box. */
export interface ClientInfo {
  /** Whether it answers pings of the server. */
  readonly canAnswerPings: boolean;
  /** The channel that the client made the box for, where it names one. */
  readonly channelBinding?: Uint8Array;
}

/** What a server says about itself in its box. */
export interface ServerInfo {
  /** Bytes per second, frames included, that the server takes from this client; undefined where it does not say. */
  readonly bytesPerSecond?: number;
  /** Bytes that it takes at once beyond that. */
  readonly burstBytes?: number;
}

const version = z.int().min(DERP_VERSION);
const positive = z.int().positive().optional().catch(undefined);

/** Names as existing implementations write them, and one of our own. */
const clientInfoJson = z.object({
  version,
  CanAckPings: z.boolean().default(false),
  nexodusChannelBinding: z.base64().optional(),
});

const serverInfoJson = z.object({
  version,
  TokenBucketBytesPerSecond: positive,
  TokenBucketBytesBurst: positive,
});

/** Writes the info of a client. */
export function encodeClientInfo(info: ClientInfo): Uint8Array {
  return encodeJson({
    version: DERP_VERSION,
    CanAckPings: info.canAnswerPings,
    nexodusChannelBinding:
      info.channelBinding && Buffer.from(info.channelBinding).toString('base64'),
  });
}

/**
 * Reads the info of a client; unknown fields are ignored.
 *
 * @throws {DerpFormatError} `info`, also for a version below 2
 */
export function decodeClientInfo(bytes: Uint8Array): ClientInfo {
  const info = decodeJson(bytes, clientInfoJson);
  const binding = info.nexodusChannelBinding;
  return {
    canAnswerPings: info.CanAckPings,
    ...(binding === undefined ? {} : { channelBinding: Buffer.from(binding, 'base64') }),
  };
}

/** Writes the info of a server. */
export function encodeServerInfo(info: ServerInfo): Uint8Array {
  return encodeJson({
    version: DERP_VERSION,
    TokenBucketBytesPerSecond: info.bytesPerSecond,
    TokenBucketBytesBurst: info.burstBytes,
  });
}

/**
 * Reads the info of a server; unknown fields are ignored.
 *
 * @throws {DerpFormatError} `info`, also for a version below 2
 */
export function decodeServerInfo(bytes: Uint8Array): ServerInfo {
  const info = decodeJson(bytes, serverInfoJson);
  return {
    bytesPerSecond: info.TokenBucketBytesPerSecond,
    burstBytes: info.TokenBucketBytesBurst,
  };
}

function encodeJson(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function decodeJson<S extends z.ZodType>(bytes: Uint8Array, schema: S): z.output<S> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return schema.parse(JSON.parse(text));
  } catch {
    throw new DerpFormatError('info', 'The box holds no info of a version that is spoken.');
  }
}
