/**
 * The public API for browsers and curl: Connect (JSON or binary) over HTTPS in front of the public gRPC server.
 *
 * It knows no method. Services and methods come from the descriptors, and each call goes on as it came, with the
 * caller's own credential, to the public gRPC API, which decides. The gateway has no identity of its own: what it may not
 * do for a caller nobody may. Proofs of possession are made for the method's path and the API's origin, so that they
 * hold here and there.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  createFileRegistry,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type Message,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type Transport,
} from '@connectrpc/connect';
import {
  connectNodeAdapter,
  createGrpcTransport,
  Http2SessionManager,
} from '@connectrpc/connect-node';
import { readDescriptorSet } from '@nexodus/contracts/descriptors';
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { forwardedHeaders } from './forwarded-headers.ts';

/** The only package that is served here. */
const servedPackage = 'nexodus.api.v1';

/** Requests of the API are small; a larger one is refused before it is read. */
const maxRequestBytes = 1_048_576;

/** What an answer may hold. */
const maxResponseBytes = 16 * 1_048_576;

/** Time that a unary call has when its caller names none, and at most, in milliseconds. */
const defaultTimeoutMs = 30_000;

/** Where the public gRPC API is. */
export interface GatewayOptions {
  /** `https://host:port` of the public gRPC server. */
  apiUrl: string;
  /** CA of its certificate, in PEM. */
  ca: string;
  /** Name in its certificate, where that is not the host of `apiUrl`. */
  serverName?: string;
}

/** The gateway. */
export interface Gateway {
  /** Whether the path belongs to the API, served here or not. */
  covers(path: string): boolean;
  /** Answers a request whose path it covers. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Ends the calls in progress and the connection to the API. */
  close(): void;
}

/** Makes the gateway. It connects to the API at the first call. */
export function createGateway({ apiUrl, ca, serverName }: GatewayOptions): Gateway {
  const tls = serverName === undefined ? { ca } : { ca, servername: serverName };
  const sessionManager = new Http2SessionManager(apiUrl, {}, tls);
  const transport = createGrpcTransport({
    baseUrl: apiUrl,
    sessionManager,
    readMaxBytes: maxResponseBytes,
    acceptCompression: [],
  });
  const stopping = new AbortController();
  const serve = connectNodeAdapter({
    routes: (router) => addRoutes(router, transport),
    grpc: false,
    grpcWeb: false,
    readMaxBytes: maxRequestBytes,
    shutdownSignal: stopping.signal,
  });
  return {
    covers: (path) => path.startsWith('/nexodus.'),
    handle: (request, response) => {
      const refusal = refusalOf(request);
      if (refusal === undefined) serve(request, response);
      else refuse(response, refusal);
    },
    close: () => {
      stopping.abort(new ConnectError('the service is stopping', Code.Unavailable));
      sessionManager.abort();
    },
  };
}

interface Refusal {
  status: number;
  code: string;
  message: string;
}

/** Connect's GET is off: a link must not call the API. A browser's cookies are not a credential here. */
function refusalOf({ method, headers }: IncomingMessage): Refusal | undefined {
  if (method !== 'POST') {
    return { status: 405, code: 'unimplemented', message: 'call the API with POST' };
  }
  if (headers.cookie !== undefined) {
    const message = 'cookies are no credential here: send an authorization header and no cookie';
    return { status: 403, code: 'permission_denied', message };
  }
  return undefined;
}

function refuse(response: ServerResponse, { status, code, message }: Refusal): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    ...(status === 405 ? { allow: 'POST' } : {}),
    connection: 'close',
  });
  response.end(JSON.stringify({ code, message }));
}

function addRoutes(router: ConnectRouter, transport: Transport): void {
  for (const method of servedMethods()) {
    if (method.methodKind === 'unary') {
      router.rpc(method, (request, call) => forwardUnary(transport, method, request, call));
    } else {
      router.rpc(method, (request, call) => forwardStream(transport, method, request, call));
    }
  }
}

/** Methods that a browser can call: those to which a client sends one message. */
function servedMethods(): (DescMethodUnary | DescMethodServerStreaming)[] {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readDescriptorSet()));
  const services = [...registry].filter(
    (element): element is DescService => element.kind === 'service',
  );
  return services
    .filter((service) => service.file.proto.package === servedPackage)
    .flatMap((service) => service.methods)
    .filter(takesOneMessage);
}

function takesOneMessage(
  method: DescMethod,
): method is DescMethodUnary | DescMethodServerStreaming {
  return method.methodKind === 'unary' || method.methodKind === 'server_streaming';
}

function forwardUnary(
  transport: Transport,
  method: DescMethodUnary,
  request: Message,
  call: HandlerContext,
): Promise<Message> {
  return inSpan(method, async () => {
    const timeoutMs = Math.min(call.timeoutMs() ?? defaultTimeoutMs, defaultTimeoutMs);
    const headers = headersFor(call, timeoutMs);
    const answer = await transport.unary(method, call.signal, timeoutMs, headers, request);
    return answer.message;
  });
}

async function* forwardStream(
  transport: Transport,
  method: DescMethodServerStreaming,
  request: Message,
  call: HandlerContext,
): AsyncGenerator<Message> {
  const timeoutMs = call.timeoutMs();
  const only = async function* only(): AsyncGenerator<Message> {
    yield request;
  };
  try {
    const headers = headersFor(call, timeoutMs);
    const answer = await transport.stream(method, call.signal, timeoutMs, headers, only());
    yield* answer.message;
  } catch (error) {
    throw cleanError(error);
  }
}

function headersFor(call: HandlerContext, timeoutMs: number | undefined): Headers {
  const headers = forwardedHeaders(call.requestHeader);
  if (timeoutMs !== undefined)
    headers.set('nexodus-timeout-ms', String(Math.max(1, Math.ceil(timeoutMs))));
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  for (const [name, value] of Object.entries(carrier)) headers.set(name, value);
  return headers;
}

/** A trace begins here: one that a client claims to continue is not believed. */
function inSpan<T>(method: DescMethod, work: () => Promise<T>): Promise<T> {
  const name = `${method.parent.typeName}/${method.name}`;
  const tracer = trace.getTracer('nexodus-gateway');
  return tracer.startActiveSpan(name, { kind: SpanKind.SERVER, root: true }, async (span) => {
    try {
      return await work();
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw cleanError(error);
    } finally {
      span.end();
    }
  });
}

/** The API's own error, without the headers and trailers it came with. */
function cleanError(error: unknown): ConnectError {
  const { rawMessage, code, details } = ConnectError.from(error);
  const isOurs = error instanceof ConnectError && error.isWireError;
  const isPlain = isOurs || code === Code.DeadlineExceeded || code === Code.Canceled;
  const clean = isPlain
    ? new ConnectError(rawMessage, code)
    : new ConnectError('the API cannot be reached: try again', Code.Unavailable);
  if (isOurs) clean.details = details;
  return clean;
}
