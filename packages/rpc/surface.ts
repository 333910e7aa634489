/**
 * Which service may be served where.
 *
 * A server is made for one surface and takes only services bound to that surface; the binding functions take only
 * definitions of the packages that belong there. A service on the wrong listener does not compile, and is refused at
 * start besides.
 */
import type {
  CallContext,
  TsProtoServiceDefinition,
  Server,
  ServiceImplementation,
} from 'nice-grpc';
import type { HangUpAfter } from './hang-up.ts';

/** Who can reach a server: the world, the other services, or the users of this machine. */
export type Surface = 'public' | 'internal' | 'local';

/** What a handler gets besides the request. */
export type RpcContext<Identity> = CallContext & { identity: Identity };

/** What this package adds to the context of a call. */
export interface ServedCall<Identity> {
  /** Who calls. */
  identity: Identity;
  /**
   * Gives the call so long to end, in milliseconds, and then cuts it, also while its client takes nothing: the call's
   * signal is aborted, the handler's generator returned, what was not taken is dropped, and the client sees CANCELLED.
   * For a service that ends a stream: the handler of a stream that is not read stands still and cannot return.
   */
  readonly hangUpAfter: HangUpAfter;
}

/** Packages of each surface. */
interface SurfacePackages {
  public: 'nexodus.api.v1' | 'nexodus.agent.v1' | 'nexodus.relay.session.v1';
  internal:
    | 'nexodus.ipam.v1'
    | 'nexodus.policy.v1'
    | 'nexodus.event.v1'
    | 'nexodus.stun.v1'
    | 'nexodus.relay.v1';
  local: 'nexodus.nexd.v1';
}

const packagesOf: { readonly [S in Surface]: readonly SurfacePackages[S][] } = {
  public: ['nexodus.api.v1', 'nexodus.agent.v1', 'nexodus.relay.session.v1'],
  internal: [
    'nexodus.ipam.v1',
    'nexodus.policy.v1',
    'nexodus.event.v1',
    'nexodus.stun.v1',
    'nexodus.relay.v1',
  ],
  local: ['nexodus.nexd.v1'],
};

/** A definition that belongs on a surface. */
export type DefinitionOn<S extends Surface> = TsProtoServiceDefinition & {
  readonly fullName: `${SurfacePackages[S]}.${string}`;
};

/** A service with its implementation, for a server of one surface. */
export interface BoundService<S extends Surface, Identity> {
  readonly surface: S;
  readonly fullName: string;
  /** Adds the service to a server whose middleware provides the identity. */
  addTo(server: Pick<Server<ServedCall<Identity>>, 'add'>): void;
}

/** Binds implementations to one surface. */
export type Binder<S extends Surface, Identity> = <D extends DefinitionOn<S>>(
  definition: D,
  implementation: ServiceImplementation<D, ServedCall<Identity>>,
) => BoundService<S, Identity>;

/**
 * Makes the function that binds implementations to a surface, for handlers that are told who calls as `Identity`. It
 * throws for a definition whose package does not belong there.
 */
export function createBinder<S extends Surface, Identity>(surface: S): Binder<S, Identity> {
  const allowed: readonly string[] = packagesOf[surface];
  return (definition, implementation) => {
    if (!allowed.some((name) => definition.fullName.startsWith(`${name}.`))) {
      throw new Error(`${definition.fullName} does not belong on a ${surface} server`);
    }
    return {
      surface,
      fullName: definition.fullName,
      addTo: (server) => server.add(definition, implementation),
    };
  };
}
