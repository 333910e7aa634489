import { IpamServiceDefinition } from '@nexodus/contracts/ipam';
import { PolicyServiceDefinition } from '@nexodus/contracts/policy';
import { ConfigError } from '@nexodus/config';
import { openDatabase } from '@nexodus/database';
import { ROOT_SECRET_BYTES } from '@nexodus/device-identity';
import type { Part } from '@nexodus/lifecycle';
import { createNatsSoftStateStore } from '@nexodus/messaging';
import { createRpcClient, openChannel, type ServerTls } from '@nexodus/rpc';
import {
  databaseConnection,
  openProcessBus,
  readText,
  type ServiceFrame,
} from '@nexodus/service-process';
import type { z } from 'zod';
import type { apiserverProcessSettings } from './apiserver-config.ts';
import { audienceOf } from './core/audience.ts';
import { type ApiserverModule, createApiserverModule } from './apiserver-module.ts';
import { gatewayParts } from './gateway/gateway-parts.ts';

type Settings = z.output<typeof apiserverProcessSettings>;

/** Builds the apiserver as a process of its own: PostgreSQL, NATS, ipam and policy as the settings name them. */
export function buildApiserver(settings: Settings, frame: ServiceFrame): ApiserverModule {
  const { clock, logger } = frame;
  const random = Math.random;
  const tls = { ipam: frame.tlsTowards('ipam'), policy: frame.tlsTowards('policy') };
  const named = {
    rootSecret: readRootSecret(settings.root_secret_file),
    audiences: settings.api.public_urls.map(audienceOf),
    publicListen: { address: settings.api.listen, tls: publicTls(settings.api) },
  };
  const gateway = httpsParts(settings);
  const database = openDatabase({
    connection: databaseConnection(settings.database),
    schema: 'apiserver',
    applicationName: 'nexodus-apiserver',
    clock,
    random,
    logger,
  });
  const {
    bus,
    link,
    part: busPart,
  } = openProcessBus(settings.nats, { name: 'apiserver', clock, random, logger });
  const ipamChannel = openChannel({ address: settings.ipam.address, tls: tls.ipam });
  const policyChannel = openChannel({ address: settings.policy.address, tls: tls.policy });
  const connections: Part = {
    name: 'connections',
    start: () => Promise.resolve(),
    stop: async () => {
      ipamChannel.close();
      policyChannel.close();
      await database.close();
    },
  };
  const module = createApiserverModule({
    database,
    bus,
    softState: createNatsSoftStateStore(link, { clock, random, bucket: 'nexodus-soft-state' }),
    ipam: createRpcClient(IpamServiceDefinition, ipamChannel),
    policy: createRpcClient(PolicyServiceDefinition, policyChannel),
    clock,
    logger,
    ...named,
    issuers: settings.issuers.map((issuer) => ({
      url: issuer.url,
      clientId: issuer.client_id,
      caFile: issuer.ca_file,
    })),
    consoleUrl: settings.console_url,
    leaseSeconds: settings.lease_seconds,
  });
  return { ...module, parts: [busPart, connections, ...module.parts, ...gateway] };
}

/** The gateway reaches the API of its own process. */
function httpsParts({ api, https }: Settings): Part[] {
  if (https === undefined) return [];
  return gatewayParts({
    apiUrl: `https://${api.listen.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:')}`,
    ca: readText(https.ca_file),
    serverName: api.public_urls.map((url) => new URL(url).hostname)[0],
    listen: https.listen,
    tls: publicTls(api),
    publicUrl: https.public_url,
    routes: [],
  });
}

function publicTls(api: Settings['api']): ServerTls {
  return { certificate: readText(api.certificate_file), key: readText(api.key_file) };
}

function readRootSecret(file: string): Uint8Array {
  const secret = Buffer.from(readText(file).trim(), 'hex');
  if (secret.length !== ROOT_SECRET_BYTES) {
    throw new ConfigError([`${file}: must hold ${ROOT_SECRET_BYTES} random bytes in hex`]);
  }
  return secret;
}
