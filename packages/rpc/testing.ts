import { type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';

/** A call whose client reads nothing of what it is sent. */
export interface UnreadCall {
  /** Code of the RST_STREAM that ended it, once it has ended (RFC 9113 section 7). */
  readonly ended: Promise<number>;
  /** Closes the connection. */
  close(): void;
}

/** How it is opened. */
export interface UnreadCallOptions {
  /** Path of the server's unix socket. */
  readonly socketPath: string;
  /** Full method name, such as `/nexodus.agent.v1.AgentService/Connect`. */
  readonly method: string;
  /** The first request, encoded. */
  readonly request: Uint8Array;
  /** Whether that is the only request; else more may follow. Default false. */
  readonly isOnlyRequest?: boolean;
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Opens a call with HTTP/2 alone, with a window through which no byte of an answer fits (SETTINGS_INITIAL_WINDOW_SIZE 0,
 * RFC 9113 section 6.5.2), on a connection that answers pings all the while.
 */
export function openUnreadCall(options: UnreadCallOptions): UnreadCall {
  const session = connectHttp2('http://localhost', {
    createConnection: () => connect(options.socketPath),
    settings: { initialWindowSize: 0 },
  });
  const ended = Promise.withResolvers<number>();
  session.on('error', ended.reject);
  const stream: ClientHttp2Stream = session.request(
    {
      ':method': 'POST',
      ':path': options.method,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...options.metadata,
    },
    { endStream: false },
  );
  stream.on('error', () => {});
  stream.on('close', () => ended.resolve(stream.rstCode ?? 0));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(options.request.byteLength, 1);
  const message = Buffer.concat([prefix, options.request]);
  if (options.isOnlyRequest === true) stream.end(message);
  else stream.write(message);
  return { ended: ended.promise, close: () => session.destroy() };
}
