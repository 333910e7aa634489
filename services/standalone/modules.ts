import { type ApiserverModule, audienceOf, createApiserverModule } from '@nexodus/apiserver';
import type { Clock } from '@nexodus/clock';
import { ChangeServiceDefinition } from '@nexodus/contracts/event';
import { IpamServiceDefinition } from '@nexodus/contracts/ipam';
import { PolicyServiceDefinition } from '@nexodus/contracts/policy';
import { GrantServiceDefinition } from '@nexodus/contracts/relay';
import type { Database } from '@nexodus/database';
import { createIpamModule } from '@nexodus/ipam';
import { createPolicyModule } from '@nexodus/policy';
import { createRelayModule } from '@nexodus/relay';
import { createRpcClient, openChannel, type ServerTls } from '@nexodus/rpc';
import type { ServiceModule } from '@nexodus/service-process';
import { createStunModule } from '@nexodus/stun';
import type { Logger } from '@nexodus/telemetry';
import { metrics } from '@opentelemetry/api';
import type { InternalCertificates } from './internal-certificates.ts';
import { formatHost, isWildcard } from './listen-address.ts';
import type { Messages } from './messages.ts';
import type { ServiceAddresses } from './service-addresses.ts';
import type { StandaloneSettings } from './settings.ts';

/** Services of the process, by their names in certificates. */
export const serviceNames = ['apiserver', 'ipam', 'policy', 'relay', 'stun'] as const;

/** What the modules are built from. */
export interface ModulesOptions {
  settings: StandaloneSettings;
  addresses: ServiceAddresses;
  databases: { apiserver: Database; ipam: Database };
  messages: Messages;
  clock: Clock;
  logger: Logger;
  /** 32 bytes. */
  rootSecret: Uint8Array;
  publicTls: Pick<ServerTls, 'certificate' | 'key'>;
  /** Where the relay notes what it changed on the machine. */
  relayStateFile: string;
  /** The embedded issuer, where it is used. */
  embeddedIssuer: { url: string; clientId: string; caFile: string } | undefined;
  internal: { certificates: InternalCertificates; socketPath: string };
}

/** All services, built and not started. */
export interface Modules {
  apiserver: ApiserverModule;
  ipam: ServiceModule;
  policy: ServiceModule;
  relay: ServiceModule;
  stun: ServiceModule;
  /** Closes what connects them. */
  close(): void;
}

/** Builds the modules as their own processes do, with gRPC and mTLS between them over a unix socket. */
export function createModules(options: ModulesOptions): Modules {
  const { settings, databases, messages, clock, internal } = options;
  const random = Math.random;
  const { bus } = messages;
  const loggerOf = (module: string): Logger => options.logger.child({ module });
  const meterOf = (module: string) => metrics.getMeter(`nexodus-${module}`);
  const channel = (caller: string, service: string) =>
    openChannel({
      address: `unix:${internal.socketPath}`,
      tls: internal.certificates.towards(caller, service),
    });
  const channels = {
    ipam: channel('apiserver', 'ipam'),
    policy: channel('apiserver', 'policy'),
    changes: channel('policy', 'apiserver'),
    grants: channel('relay', 'apiserver'),
  };
  const frame = (module: string) => ({
    clock,
    random,
    bus,
    logger: loggerOf(module),
    meter: meterOf(module),
  });
  return {
    apiserver: createApiserverModule({
      ...apiserverSettings(options),
      database: databases.apiserver,
      bus,
      softState: messages.softState,
      ipam: createRpcClient(IpamServiceDefinition, channels.ipam),
      policy: createRpcClient(PolicyServiceDefinition, channels.policy),
      clock,
      logger: loggerOf('apiserver'),
    }),
    ipam: createIpamModule({ ...frame('ipam'), config: settings.ipam, database: databases.ipam }),
    policy: createPolicyModule({
      ...frame('policy'),
      config: settings.policy,
      changes: createRpcClient(ChangeServiceDefinition, channels.changes),
    }),
    relay: createRelayModule({
      ...frame('relay'),
      config: relaySettings(options),
      tls: options.publicTls,
      grants: createRpcClient(GrantServiceDefinition, channels.grants),
    }),
    stun: createStunModule({ ...frame('stun'), config: stunSettings(options) }),
    close: () => {
      for (const opened of Object.values(channels)) opened.close();
    },
  };
}

function stunSettings({ addresses, settings }: ModulesOptions) {
  const { stun: listen, stunPublic } = addresses;
  return { ...settings.stun, threads: 1, listen, public_addresses: stunPublic };
}

function relaySettings({ addresses, relayStateFile, settings }: ModulesOptions) {
  return {
    ...settings.relay,
    listen: addresses.relay.listen,
    public_url: addresses.relay.publicUrl,
    // There is no other relay that devices could move to.
    drain_seconds: 0,
    udp: {
      ...settings.relay.udp,
      threads: 1,
      state_file: relayStateFile,
      stun_addresses: stunOf(addresses),
    },
  };
}

/** The STUN server of this process serves the relay too. */
function stunOf({ stun, stunPublic }: ServiceAddresses): string[] {
  const own = stun.filter(({ host }) => !isWildcard(host));
  const told = stunPublic.length > 0 ? stunPublic : own;
  return told.map(({ host, port }) => `${formatHost(host)}:${port}`);
}

function apiserverSettings({
  settings,
  addresses,
  embeddedIssuer,
  publicTls,
  rootSecret,
}: ModulesOptions) {
  const named = settings.oidc.issuers.map((issuer) => ({
    url: issuer.url,
    clientId: issuer.client_id,
    caFile: issuer.ca_file,
  }));
  const { host, port } = addresses.api.listen;
  const own = ownHosts(host).map((name) => `https://${formatHost(name)}:${port}`);
  const audiences = [addresses.api.publicUrl, ...own].map(audienceOf);
  return {
    rootSecret,
    issuers: embeddedIssuer === undefined ? named : [embeddedIssuer, ...named],
    audiences: [...new Set(audiences)],
    consoleUrl: addresses.https.publicUrl,
    publicListen: { address: `${formatHost(host)}:${port}`, tls: publicTls },
    leaseSeconds: settings.lease_seconds,
  };
}

/** Names under which this machine reaches a server that listens there, besides its public one. */
function ownHosts(host: string): string[] {
  if (isWildcard(host)) return ['127.0.0.1', '::1', 'localhost'];
  return host === '127.0.0.1' || host === '::1' ? [host, 'localhost'] : [host];
}
