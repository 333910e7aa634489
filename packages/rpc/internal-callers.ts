import type { CallContext } from 'nice-grpc';
import { Status } from 'nice-grpc';
import { peerNamesMetadata } from './peer-name.ts';
import { RpcError, unauthenticated } from './rpc-error.ts';
import type { IncomingCall } from './server.ts';

/** Another service that calls, known by the certificate that it showed. */
export interface ServiceIdentity {
  /** Name of the service, such as "apiserver". */
  service: string;
}

/** Prefix of the URI name in a service's certificate. */
const servicePrefix = 'nexodus:service/';

/** Callers allowed for each method: keys are full method names or `/package.Service/*`, values names of services. */
export type CallerAllowList = Readonly<Record<string, readonly string[]>>;

/**
 * Authenticates internal callers by mTLS, and lets each call only the methods that the list names for it. A method that
 * is not listed lets nobody in.
 */
export function authenticateInternalCaller(
  allowed: CallerAllowList,
): (call: IncomingCall) => Promise<ServiceIdentity> {
  return async ({ path, context }) => {
    const service = callingService(context);
    if (service === undefined)
      throw unauthenticated('NO_SERVICE_CERTIFICATE', 'show the certificate of a service');
    const names = allowed[path] ?? allowed[path.replace(/\/[^/]+$/, '/*')] ?? [];
    if (!names.includes(service)) {
      throw new RpcError(Status.PERMISSION_DENIED, `service ${service} may not call ${path}`, {
        reason: 'CALLER_NOT_ALLOWED',
      });
    }
    return { service };
  };
}

function callingService(context: CallContext): string | undefined {
  const names = context.metadata.get(peerNamesMetadata)?.split(',') ?? [];
  return names.find((name) => name.startsWith(servicePrefix))?.slice(servicePrefix.length);
}
