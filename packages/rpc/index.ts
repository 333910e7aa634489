export { Metadata, Status } from 'nice-grpc';
export type { CallContext } from 'nice-grpc';
export { createRpcClient } from './client.ts';
export type { CallTiming, RpcCallOptions, RpcClient, RpcClientOptions } from './client.ts';
export { createInMemoryClient } from './in-memory-client.ts';
export { authenticateInternalCaller } from './internal-callers.ts';
export type { CallerAllowList, ServiceIdentity } from './internal-callers.ts';
export {
  failedPrecondition,
  invalidArgument,
  isRpcError,
  notFound,
  RpcError,
  unauthenticated,
  unavailable,
} from './rpc-error.ts';
export type { FieldViolation, RpcErrorDetails } from './rpc-error.ts';
export { startRpcServer } from './server.ts';
export type { CallReport, IncomingCall, RpcServerOptions, RunningRpcServer } from './server.ts';
export { createBinder } from './surface.ts';
export type {
  Binder,
  BoundService,
  DefinitionOn,
  RpcContext,
  ServedCall,
  Surface,
} from './surface.ts';
export { openChannel } from './transport.ts';
export type { ChannelTarget, ClientTls, ServerTls } from './transport.ts';
