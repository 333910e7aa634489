import { createNameZone } from './core/name-zone.ts';
import type { NamedHost } from './core/name-zone.ts';
import type { DataplaneLogger } from './dataplane.ts';
import { DataplaneError } from './dataplane-error.ts';
import type { HostResolver, HostResolverHook } from './host-resolver.ts';
import { startNameServer } from './name-server.ts';
import type { NameServer, NameServerAddress } from './name-server.ts';

/**
 * The loopback address of the name server: its own, so that a DNS server of the machine on 127.0.0.1 or 127.0.0.53
 * stays undisturbed; 127.100.64.0/24 after the default VPC prefix.
 */
const NAME_SERVER_ADDRESS: NameServerAddress = { address: '127.100.64.53', port: 53 };

/** What `createNames` needs. */
export interface NamesOptions {
  readonly resolver: HostResolver;
  readonly logger: DataplaneLogger;
  /** Default NAME_SERVER_ADDRESS. */
  readonly listen?: NameServerAddress;
}

/** How names stand on this machine. */
export interface NamesStatus {
  readonly hook: HostResolverHook;
  /** Null: not listening. */
  readonly listening: NameServerAddress | null;
  /** Null: no names. */
  readonly domain: string | null;
  /** One sentence for people where names do not resolve by themselves; null where they do. */
  readonly notice: string | null;
}

/** Names of a VPC on this machine: `<hostname>.<vpc>.nexodus`. Trouble with names never stops the tunnel. */
export interface Names {
  /**
   * Answers for these hosts (the device itself and its shown peers) from now on; idempotent. The machine's resolver is
   * told anew when the interface is another one than before: with the old one it forgot. Throws DataplaneError:
   * `names-unavailable`, `command-failed`. Call it after the tunnel interface exists.
   *
   * @param interfaceIndex see NetworkReading.index; null: not known, taken for the same as before
   */
  apply(vpcName: string, hosts: readonly NamedHost[], interfaceIndex: number | null): Promise<void>;
  status(): NamesStatus;
  /**
   * Stops answering and takes back what this process told the machine's resolver; idempotent. With `alsoEarlier` also
   * what an earlier process told: only for an interface that is known to be, or have been, ours.
   */
  down(options?: { readonly alsoEarlier?: boolean }): Promise<void>;
}

/** Makes the names of one VPC; it neither listens nor hooks before `apply`. Calls must not overlap. */
export function createNames(options: NamesOptions): Names {
  const { resolver, logger } = options;
  let server: NameServer | null = null;
  let domain: string | null = null;
  let isRouted = false;
  /** Index of the interface that the resolver was told of. */
  let routedIndex: number | null = null;
  let failure: DataplaneError | null = null;

  const unroute = async (isAlways = false) => {
    if (isRouted || isAlways) await resolver.unroute();
    isRouted = false;
  };

  const apply = async (
    vpcName: string,
    hosts: readonly NamedHost[],
    interfaceIndex: number | null,
  ) => {
    server ??= await startNameServer(options.listen ?? NAME_SERVER_ADDRESS);
    const zone = createNameZone(vpcName, hosts);
    server.setZone(zone);
    const index = interfaceIndex ?? routedIndex;
    if (domain === (zone?.domain ?? null) && index === routedIndex) return;
    if (zone === null) await unroute();
    else {
      isRouted = true;
      await resolver.route(server.listening.address, zone.domain);
    }
    domain = zone?.domain ?? null;
    routedIndex = index;
    logger.info({ hook: resolver.hook }, 'names answered');
  };

  return {
    apply: async (vpcName, hosts, interfaceIndex) => {
      try {
        await apply(vpcName, hosts, interfaceIndex);
        failure = null;
      } catch (error) {
        failure = error instanceof DataplaneError ? error : null;
        throw error;
      }
    },
    status: () => {
      const listening = server?.listening ?? null;
      return {
        hook: resolver.hook,
        listening,
        domain,
        notice: notice(resolver, listening, failure),
      };
    },
    down: async ({ alsoEarlier } = {}) => {
      await unroute(alsoEarlier);
      await server?.close();
      server = null;
      domain = null;
      routedIndex = null;
    },
  };
}

function notice(
  resolver: HostResolver,
  listening: NameServerAddress | null,
  failure: DataplaneError | null,
): string | null {
  if (failure !== null) return `${failure.message} ${failure.remedy}`;
  if (listening === null || resolver.hook !== 'none') return null;
  return (
    `Names are answered at ${listening.address} port ${listening.port}, but this machine has neither systemd-resolved ` +
    'nor openresolv, so /etc/resolv.conf was left alone; ask that server for names ending in .nexodus.'
  );
}
