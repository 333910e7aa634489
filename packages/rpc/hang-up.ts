/**
 * Ending a call whose client takes nothing.
 *
 * gRPC ends a call with trailers, which wait behind everything that was written. While a client leaves its flow-control
 * window closed (RFC 9113 section 5.2) nothing is taken any more: the handler stands still at what it yielded, and what
 * it would say next is never asked for. Only RST_STREAM (section 6.4) passes a closed window. grpc-js has no call of its
 * own for it on the server, so it is sent on the HTTP/2 stream below the call.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { constants } from 'node:http2';
import { Duplex } from 'node:stream';
import {
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';

/** Gives one call so long to end by itself, in milliseconds, and then ends its transport. */
export type HangUpAfter = (graceMs: number) => void;

/** The part of an HTTP/2 stream that this needs. */
type ResettableStream = Duplex & { close(code: number): void };

const hangUps = new AsyncLocalStorage<HangUpAfter>();

/**
 * Lets what serves a call find its `HangUpAfter`. Must be the first of a server's interceptors: that is the one which gets the
 * call of the transport.
 */
export const hangUpInterceptor: ServerInterceptor = (_method, call) => {
  const stream = streamOf(call);
  const hangUpAfter: HangUpAfter = (graceMs) => {
    if (stream.destroyed) return;
    const timer = setTimeout(() => {
      stream.close(constants.NGHTTP2_CANCEL);
      stream.destroy();
    }, graceMs);
    stream.once('close', () => clearTimeout(timer));
  };
  return new ServerInterceptingCall(call, {
    start: (next) => {
      const listener = new ServerListenerBuilder()
        // Handlers of request streams begin at the metadata, others when the request is whole.
        .withOnReceiveMetadata((metadata, passOn) => hangUps.run(hangUpAfter, passOn, metadata))
        .withOnReceiveHalfClose((passOn) => hangUps.run(hangUpAfter, passOn))
        .build();
      next(listener);
    },
  });
};

/** The `HangUpAfter` of the call that is being served. */
export function currentHangUp(): HangUpAfter {
  const hangUpAfter = hangUps.getStore();
  if (hangUpAfter === undefined) throw new Error('no call is being served here');
  return hangUpAfter;
}

/** grpc-js keeps the stream to itself, so what is found there is looked at before it is trusted. */
function streamOf(call: object): ResettableStream {
  const stream: unknown = Reflect.get(call, 'stream');
  if (isResettable(stream)) return stream;
  throw new Error('this version of grpc-js hides the HTTP/2 stream of a call elsewhere');
}

function isResettable(stream: unknown): stream is ResettableStream {
  return stream instanceof Duplex && 'close' in stream && typeof stream.close === 'function';
}
