import {
  type CallContext,
  Metadata,
  type ServiceImplementation,
  type TsProtoServiceDefinition,
} from 'nice-grpc';
import type { RpcClient } from './client.ts';
import type { ServedCall } from './surface.ts';

type Context = CallContext & ServedCall<unknown>;
type Handler = (request: unknown, context: Context) => unknown;

/** Who calls and with which metadata. */
export interface InMemoryCaller<Identity> {
  identity: Identity;
  metadata?: Readonly<Record<string, string>>;
}

type Method = TsProtoServiceDefinition['methods'][string];
type Codec = Method['requestType'];

/**
 * A client that calls an implementation in the same process: no socket, but every message is encoded and decoded as on
 * the wire, so that neither side sees the other's objects. For simulations and unit tests of handlers.
 */
export function createInMemoryClient<D extends TsProtoServiceDefinition, Identity>(
  definition: D,
  implementation: ServiceImplementation<D, ServedCall<Identity>>,
  caller: InMemoryCaller<Identity>,
): RpcClient<D> {
  const client: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(definition.methods)) {
    // Definitions and implementations are generated in pairs: a method of one is a method of the other.
    const handler = (implementation as Record<string, Handler>)[name];
    if (handler === undefined)
      throw new Error(`${definition.fullName}.${method.name} is not implemented`);
    client[name] = callerOf(method, handler.bind(implementation), caller);
  }
  // Built from the methods of the definition, which is what the client's type says.
  return client as RpcClient<D>;
}

function callerOf(method: Method, handler: Handler, caller: InMemoryCaller<unknown>) {
  return (request: unknown, options: { signal?: AbortSignal } = {}): unknown => {
    const input = method.requestStream
      ? recodeStream(method.requestType, request as AsyncIterable<unknown>) // by the method's kind
      : recode(method.requestType, request);
    const output = handler(input, contextOf(caller, options.signal));
    return method.responseStream
      ? recodeStream(method.responseType, output as AsyncIterable<unknown>) // by the method's kind
      : Promise.resolve(output).then((value) => recode(method.responseType, value));
  };
}

function contextOf(caller: InMemoryCaller<unknown>, signal?: AbortSignal): Context {
  const hungUp = new AbortController();
  return {
    metadata: Metadata(caller.metadata),
    peer: 'in-memory',
    header: Metadata(),
    sendHeader: () => {},
    trailer: Metadata(),
    signal: AbortSignal.any([hungUp.signal, ...(signal === undefined ? [] : [signal])]),
    identity: caller.identity,
    hangUpAfter: (graceMs) => void setTimeout(() => hungUp.abort(), graceMs).unref(),
  };
}

function recode(codec: Codec, value: unknown): unknown {
  return codec.decode(codec.encode(codec.fromPartial?.(value) ?? value).finish());
}

async function* recodeStream(
  codec: Codec,
  values: AsyncIterable<unknown>,
): AsyncGenerator<unknown> {
  for await (const value of values) yield recode(codec, value);
}
