/**
 * All services in one process.
 *
 * Nothing here does a service's work: the modules are those of the separate processes, with gRPC and mTLS between them.
 * What is different is what they stand on, and this is where it is put together: a PostgreSQL, a bus and an issuer inside
 * the process unless the settings name others, certificates and keys in a data directory, and a first user, organization
 * and service account.
 */
import { gatewayParts } from '@nexodus/apiserver';
import { systemClock } from '@nexodus/clock';
import { type Part, startParts } from '@nexodus/lifecycle';
import { healthPart, internalServerPart } from '@nexodus/service-process';
import type { Logger, RequestHandler } from '@nexodus/telemetry';
import { ensureBootstrapAccount } from './bootstrap-account.ts';
import { type DataDirectory, openDataDirectory } from './data-directory.ts';
import { demoEmail, type DemoUser, ensureDemoUser } from './demo-user.ts';
import { createFrontPage } from './front-page.ts';
import { createInternalCertificates } from './internal-certificates.ts';
import { chooseInternalSocket, type InternalSocket } from './internal-socket.ts';
import { createEmbeddedIssuer, type EmbeddedIssuer } from './issuer/embedded-issuer.ts';
import { cliClientId } from './issuer/issuer-configuration.ts';
import { createJoinKey } from './join-key.ts';
import { openMessages } from './messages.ts';
import { createModules, type Modules, serviceNames } from './modules.ts';
import { ensurePublicCertificate, type PublicCertificate } from './public-certificate.ts';
import { ensureRootSecret } from './root-secret.ts';
import {
  certificateHosts,
  dialledHost,
  isOpenToOthers,
  resolveAddresses,
  type ServiceAddresses,
} from './service-addresses.ts';
import type { StandaloneSettings } from './settings.ts';
import { ensureSigningKeys } from './signing-key-file.ts';
import { openStorage, type Storage } from './storage.ts';

/** How the service is started. */
export interface StandaloneOptions {
  settings: StandaloneSettings;
  /** Made when missing; mode 0700. */
  dataDir: string;
  logger: Logger;
  /** Answers /metrics. */
  handleMetrics: RequestHandler;
  /** Whether passwords and keys go to a terminal; else to files of mode 0600. */
  isTerminal: boolean;
  /** Gives the demo user a new password. */
  resetsDemoPassword: boolean;
  /** Told what was just done. */
  onProgress: (done: string) => void;
  /** Called when it cannot go on, such as when PostgreSQL ended by itself. */
  onFailure: (error: Error) => void;
}

/** What to tell people about the running service. */
export interface StandaloneFacts {
  serviceUrl: string;
  consoleUrl: string;
  metricsUrl: string;
  caFingerprint: string;
  isOpenToOthers: boolean;
  /** Absent where only other issuers are used. */
  demoUser: (Pick<DemoUser, 'password'> & { email: string }) | undefined;
  /** Path of the bootstrap account's credentials; undefined when the file was removed. */
  credentialsPath: string | undefined;
  isBootstrapEnabled: boolean;
  /** A fresh key for one machine; undefined when the bootstrap account can make none. */
  joinKey: { kind: 'text'; text: string } | { kind: 'file'; path: string } | undefined;
}

/** A service that serves. */
export interface RunningStandalone {
  readonly facts: StandaloneFacts;
  /** Stops everything, last first, and gives the data directory up. */
  stop(): Promise<void>;
}

const clock = systemClock;
const issuerPath = '/oidc';
const joinKeyFile = 'registration-key';
const issuerUrlFile = 'issuer-url';

/**
 * Starts everything, in order; what was started is stopped again when something fails.
 *
 * @throws ConfigError for settings that cannot be used, else an error whose message is one line for people
 */
export async function startStandalone(options: StandaloneOptions): Promise<RunningStandalone> {
  await using stack = new AsyncDisposableStack();
  const directory = await openDataDirectory(options.dataDir);
  stack.defer(() => directory.release());
  const service = await prepare(options, directory, stack);
  options.onProgress('PostgreSQL accepts connections');
  const running = await startParts(parts(options, service));
  stack.defer(() => running.stop());
  options.onProgress('all services serve');
  const facts = await introduce(options, service);
  const owned = stack.move();
  return { facts, stop: () => owned.disposeAsync() };
}

/** Everything that is built and not started. */
interface Service {
  directory: DataDirectory;
  addresses: ServiceAddresses;
  certificate: PublicCertificate;
  modules: Modules;
  issuer: EmbeddedIssuer;
  issuerUrl: string;
  internal: {
    certificates: Awaited<ReturnType<typeof createInternalCertificates>>;
    socket: InternalSocket;
  };
}

/** Addresses, certificates, keys: what needs no other process. */
async function layFoundation(
  { settings, onProgress }: StandaloneOptions,
  directory: DataDirectory,
  stack: AsyncDisposableStack,
) {
  const now = new Date(clock.now());
  const addresses = await resolveAddresses(settings);
  const certificate = await ensurePublicCertificate(directory, certificateHosts(addresses), now);
  const keys = {
    rootSecret: await ensureRootSecret(directory),
    signingKeys: await ensureSigningKeys(directory, now),
  };
  const socket = await chooseInternalSocket(directory);
  stack.defer(() => socket.remove());
  const certificates = await createInternalCertificates(serviceNames, now);
  onProgress('data directory, certificates and keys are there');
  return { addresses, certificate, keys, internal: { certificates, socket } };
}

async function prepare(
  options: StandaloneOptions,
  directory: DataDirectory,
  stack: AsyncDisposableStack,
): Promise<Service> {
  const { settings, logger } = options;
  const foundation = await layFoundation(options, directory, stack);
  const { addresses, certificate, keys, internal } = foundation;
  const storage = await openStorage({
    settings: settings.database,
    dataDir: directory.path,
    clock,
    logger: logger.child({ module: 'postgres' }),
    onLost: options.onFailure,
  });
  stack.defer(() => storage.stop());
  const databases = openDatabases(storage, stack);
  const messages = openMessages(settings.nats, { clock, logger });
  stack.defer(() => messages.stop());
  const issuerUrl = addresses.https.publicUrl + issuerPath;
  const issuer = createEmbeddedIssuer({
    url: issuerUrl,
    database: databases.oidc,
    clock,
    logger: logger.child({ module: 'issuer' }),
    ...keys,
  });
  const modules = createModules({
    settings,
    addresses,
    databases,
    messages,
    clock,
    logger,
    rootSecret: keys.rootSecret,
    publicTls: certificate.tls,
    relayStateFile: directory.file('relay-forwarding.json'),
    embeddedIssuer: settings.oidc.embedded
      ? { url: issuerUrl, clientId: cliClientId, caFile: directory.file('ca.pem') }
      : undefined,
    internal: { certificates: internal.certificates, socketPath: internal.socket.path },
  });
  stack.defer(() => modules.close());
  return { directory, addresses, certificate, modules, issuer, issuerUrl, internal };
}

function openDatabases(storage: Storage, stack: AsyncDisposableStack) {
  const open = (schema: Parameters<Storage['open']>[0]) => {
    const database = storage.open(schema);
    stack.defer(() => database.close());
    return database;
  };
  return { apiserver: open('apiserver'), ipam: open('ipam'), oidc: open('oidc') };
}

function parts(options: StandaloneOptions, service: Service): Part[] {
  const { modules, issuer, internal } = service;
  const { apiserver, ipam, policy, relay, stun } = modules;
  const all = [ipam, relay, stun, apiserver, policy];
  const server = internalServerPart(all, {
    address: `unix:${internal.socket.path}`,
    tls: internal.certificates.server,
    callers: {},
    logger: options.logger,
  });
  const health = healthPart(all, {
    listen: service.addresses.metrics,
    handleMetrics: options.handleMetrics,
  });
  return [
    ...issuer.parts,
    ...ipam.parts,
    ...apiserver.parts,
    server,
    ...relay.parts,
    ...stun.parts,
    ...policy.parts,
    ...httpsParts(options, service),
    health,
  ];
}

/** Gateway, issuer and pages, on one address. */
function httpsParts({ settings }: StandaloneOptions, service: Service): Part[] {
  const { addresses, certificate, issuer } = service;
  const { embedded } = settings.oidc;
  const frontPage = createFrontPage({
    apiUrl: addresses.api.publicUrl,
    devicePath: embedded ? `${issuerPath}/device` : undefined,
    caPem: certificate.caPem,
  });
  return gatewayParts({
    apiUrl: `https://${dialledApi(addresses)}`,
    ca: certificate.caPem,
    serverName: 'localhost',
    listen: addresses.https.listen,
    tls: certificate.tls,
    publicUrl: addresses.https.publicUrl,
    routes: embedded ? [issuer, frontPage] : [frontPage],
  });
}

/** The public API as this machine reaches it. */
function dialledApi({ api }: ServiceAddresses): string {
  return `${dialledHost(api.listen.host)}:${api.listen.port}`;
}

/** Makes the first user, organization and account, and gathers what people need to know. */
async function introduce(options: StandaloneOptions, service: Service): Promise<StandaloneFacts> {
  const { directory, addresses, certificate, modules, issuer, issuerUrl } = service;
  const serviceUrl = addresses.api.publicUrl;
  await followIssuerUrl(service);
  const demoUser = options.settings.oidc.embedded
    ? await ensureDemoUser(
        issuer.accounts,
        { directory, isTerminal: options.isTerminal },
        options.resetsDemoPassword,
      )
    : undefined;
  const owner = {
    issuer: issuerUrl,
    subject: demoUser?.account.subject ?? 'nobody',
    email: demoEmail,
    displayName: 'Demo',
  };
  const account = await ensureBootstrapAccount({
    apiserver: modules.apiserver,
    directory,
    owner,
    serviceUrl,
    caPem: certificate.caPem,
  });
  const { id, isEnabled, credentials } = account;
  const joinKey =
    isEnabled && id !== undefined && credentials !== undefined
      ? await discloseJoinKey(options, service, {
          id,
          vpcId: account.vpcId,
          key: credentials.key,
        })
      : undefined;
  const { metrics } = addresses;
  return {
    serviceUrl,
    consoleUrl: `${addresses.https.publicUrl}/`,
    metricsUrl: `http://${dialledHost(metrics.host)}:${metrics.port}/metrics`,
    caFingerprint: certificate.caFingerprint,
    isOpenToOthers: isOpenToOthers(addresses),
    demoUser:
      demoUser === undefined ? undefined : { email: demoEmail, password: demoUser.password },
    credentialsPath: credentials?.path,
    isBootstrapEnabled: isEnabled,
    joinKey,
  };
}

/** People are known by (issuer, subject): when the embedded issuer gets another URL they stay who they are. */
async function followIssuerUrl({ directory, modules, issuerUrl }: Service): Promise<void> {
  const before = directory.read(issuerUrlFile)?.trim();
  if (before === issuerUrl) return;
  if (before !== undefined) await modules.apiserver.bootstrap.renameIssuer(before, issuerUrl);
  await directory.write(issuerUrlFile, `${issuerUrl}\n`);
}

async function discloseJoinKey(
  { isTerminal, logger }: StandaloneOptions,
  { directory, addresses, certificate }: Service,
  account: Parameters<typeof createJoinKey>[0]['account'],
): Promise<StandaloneFacts['joinKey']> {
  try {
    const text = await createJoinKey({
      address: dialledApi(addresses),
      serviceUrl: addresses.api.publicUrl,
      caPem: certificate.caPem,
      account,
      clock,
    });
    if (isTerminal) return { kind: 'text', text };
    await directory.write(joinKeyFile, `${text}\n`);
    return { kind: 'file', path: directory.file(joinKeyFile) };
  } catch (error) {
    // The service runs all the same: only the printed line goes without a key.
    logger.warn({ error }, 'no registration key could be made for the printed line');
    return undefined;
  }
}
