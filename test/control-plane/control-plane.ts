/**
 * The control plane in one process, for tests of its API: the real modules of apiserver, ipam and policy, with mTLS
 * between them over unix sockets, on a real PostgreSQL and the in-process bus.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ApiserverModule,
  type ApiserverModuleOptions,
  createApiserverModule,
} from '@nexodus/apiserver';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  issueServerCertificate,
  issueServiceCertificate,
} from '@nexodus/certificates';
import { systemClock } from '@nexodus/clock';
import { ChangeServiceDefinition } from '@nexodus/contracts/event';
import { IpamServiceDefinition } from '@nexodus/contracts/ipam';
import { PolicyServiceDefinition } from '@nexodus/contracts/policy';
import { GrantServiceDefinition } from '@nexodus/contracts/relay';
import { bootstrapSchema, type Database, openDatabase } from '@nexodus/database';
import { Ed25519PrivateKey } from '@nexodus/device-identity';
import { startTestPostgres } from '@nexodus/embedded-postgres/testing';
import { createIpamModule, ipamConfig } from '@nexodus/ipam';
import { startParts } from '@nexodus/lifecycle';
import {
  createInProcessMessageBus,
  createInProcessSoftStateStore,
  type MessageBus,
  type SoftStateStore,
} from '@nexodus/messaging';
import { createPolicyModule, policyConfig } from '@nexodus/policy';
import { type ClientTls, createRpcClient, openChannel, type RpcClient } from '@nexodus/rpc';
import {
  internalServerName,
  internalServerPart,
  type ServiceModule,
} from '@nexodus/service-process';
import { silentLogger } from '@nexodus/telemetry';
import { metrics } from '@opentelemetry/api';

/** A control plane that serves. */
export interface ControlPlane {
  /** Address to dial; one audience is `testAudience`. */
  readonly url: string;
  /** CA of the public certificate, PEM. */
  readonly caPem: string;
  readonly apiserver: ApiserverModule;
  /** The apiserver's schema, to look at what is stored. */
  readonly database: Database;
  /** ipam as the apiserver sees it. */
  readonly ipam: RpcClient<typeof IpamServiceDefinition>;
  /** The apiserver as a relay sees it. */
  readonly grants: RpcClient<typeof GrantServiceDefinition>;
  /** Key of the bootstrap service account. */
  readonly accountKey: Ed25519PrivateKey<'service-account'>;
  readonly accountId: string;
  readonly organizationId: string;
  readonly vpcId: string;
  /** Stops PostgreSQL under the running services. */
  stopDatabase(): Promise<void>;
  stop(): Promise<void>;
}

/** What the service is known by, whatever port it got. */
export const testAudience = 'https://nexodus.test:7443';

const random = Math.random;
const clock = systemClock;
const logger = silentLogger;

/** Where the public API listens and what it is known by. */
export interface ControlPlaneOptions {
  /** `host:port` or `unix:/path`. Default: a free port of 127.0.0.1. */
  address?: string;
  /** What the services speak over. Default: in this process. */
  bus?: MessageBus;
  softState?: SoftStateStore;
  /** Known besides `testAudience`, and before it. Default: none. */
  audience?: string;
  /** That people log in with. Default: one that nobody can. */
  issuers?: ApiserverModuleOptions['issuers'];
  /** CA of the public certificate. Default: one of its own. */
  publicCa?: CertificateAuthority;
}

/** Starts everything. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const stack = new AsyncDisposableStack();
  try {
    return await build(stack, options);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function build(
  stack: AsyncDisposableStack,
  options: ControlPlaneOptions,
): Promise<ControlPlane> {
  const { address: publicAddress = '127.0.0.1:0', audience = testAudience } = options;
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-cp-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const databases = await openDatabases(stack);
  const tls = await issueInternalCertificates();
  const address = `unix:${join(folder, 'internal.sock')}`;
  const channelTo = (service: string, caller: string): ReturnType<typeof openChannel> => {
    const channel = openChannel({ address, tls: tls.client(caller, service) });
    stack.defer(() => channel.close());
    return channel;
  };
  const ipam = createRpcClient(IpamServiceDefinition, channelTo('ipam', 'apiserver'));
  const meter = metrics.getMeter('test');
  const ipamModule = createIpamModule({
    config: ipamConfig.parse({}),
    database: databases.ipam,
    clock,
    logger,
    meter,
  });
  const policyModule = createPolicyModule({
    config: policyConfig.parse({}),
    changes: createRpcClient(ChangeServiceDefinition, channelTo('apiserver', 'policy')),
    clock,
    random,
    logger,
    meter,
  });
  const publicCa = options.publicCa ?? (await createPublicCa());
  const certificate = await issueServerCertificate({
    ca: publicCa,
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    now: new Date(),
    days: 1,
  });
  const apiserver = createApiserverModule({
    database: databases.apiserver,
    bus: options.bus ?? createInProcessMessageBus(),
    softState: options.softState ?? createInProcessSoftStateStore({ clock, random }),
    ipam,
    policy: createRpcClient(PolicyServiceDefinition, channelTo('policy', 'apiserver')),
    clock,
    logger,
    rootSecret: randomBytes(32),
    issuers: options.issuers ?? [{ url: 'https://issuer.invalid', clientId: 'nexodus-cli' }],
    audiences: [...new Set([audience, testAudience])],
    consoleUrl: 'https://console.invalid',
    publicListen: {
      address: publicAddress,
      tls: { certificate: certificate.certificatePem, key: certificate.key.exportPem() },
    },
    leaseSeconds: 3_600,
  });
  const modules: ServiceModule[] = [ipamModule, policyModule, apiserver];
  const running = await startParts([
    ...ipamModule.parts,
    internalServerPart(modules, { address, tls: tls.server, callers: {}, logger }),
    ...policyModule.parts,
    ...apiserver.parts,
  ]);
  stack.defer(() => running.stop());
  const accountKey = Ed25519PrivateKey.generate('service-account');
  const made = await apiserver.bootstrap.ensure({
    organizationName: 'demo',
    owner: {
      issuer: 'https://issuer.invalid',
      subject: 'demo',
      email: 'demo@example.com',
      displayName: 'Demo',
    },
    serviceAccount: { name: 'bootstrap', publicKey: accountKey.publicKey },
  });
  return {
    url: publicAddress.startsWith('unix:')
      ? publicAddress
      : `https://127.0.0.1:${apiserver.publicPort()}`,
    caPem: publicCa.certificatePem,
    apiserver,
    database: databases.apiserver,
    ipam,
    grants: createRpcClient(GrantServiceDefinition, channelTo('apiserver', 'relay')),
    accountKey,
    accountId: made.serviceAccountId ?? '',
    organizationId: made.organizationId,
    vpcId: made.vpcId,
    stopDatabase: databases.stopServer,
    stop: () => stack.disposeAsync(),
  };
}

function createPublicCa(): Promise<CertificateAuthority> {
  return createCertificateAuthority({ commonName: 'Nexodus test CA', now: new Date(), years: 1 });
}

async function openDatabases(stack: AsyncDisposableStack): Promise<{
  apiserver: Database;
  ipam: Database;
  stopServer: () => Promise<void>;
}> {
  const postgres = await startTestPostgres();
  stack.defer(() => postgres.stop());
  const admin = await postgres.createDatabase();
  const open = async (schema: string): Promise<Database> => {
    await bootstrapSchema({ admin, schema, role: schema, extensions: ['btree_gist'] });
    const connection = postgres.url(new URL(admin).pathname.slice(1), schema);
    const database = openDatabase({
      connection,
      schema,
      applicationName: `test-${schema}`,
      clock,
      random,
    });
    stack.defer(() => database.close());
    return database;
  };
  return {
    apiserver: await open('apiserver'),
    ipam: await open('ipam'),
    stopServer: () => postgres.stop(),
  };
}

async function issueInternalCertificates(): Promise<{
  server: { certificate: string; key: string; clientCa: string };
  client: (caller: string, service: string) => ClientTls;
}> {
  const now = new Date();
  const ca = await createCertificateAuthority({
    commonName: 'Nexodus test internal CA',
    now,
    years: 1,
  });
  const dnsNames = ['apiserver', 'ipam', 'policy'].map(internalServerName);
  const issue = async (service: string): Promise<{ certificate: string; key: string }> => {
    const issued = await issueServiceCertificate({
      ca,
      service,
      dnsNames,
      ipAddresses: [],
      now,
      days: 1,
    });
    return { certificate: issued.certificatePem, key: issued.key.exportPem() };
  };
  const pairs = new Map([
    ['apiserver', await issue('apiserver')],
    ['policy', await issue('policy')],
    ['relay', await issue('relay')],
  ]);
  return {
    server: { ...(await issue('apiserver')), clientCa: ca.certificatePem },
    client: (caller, service) => ({
      ca: ca.certificatePem,
      ...pairs.get(caller),
      serverName: internalServerName(service),
    }),
  };
}
