/**
 * The services as separate processes: `node services/<name>/main.ts --config deploy/config/<name>.yaml`, with nothing but
 * addresses and paths given by the environment, on a real PostgreSQL and a real nats-server that asks for certificates as
 * deploy/nats/access.conf says. Certificates, passwords, roles and schemas come from the programs of deploy/.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '@nexodus/clock/testing';
import { type databaseRoles, prepareDatabase, prepareInstallation } from '@nexodus/deploy';
import { startTestPostgres, type TestPostgres } from '@nexodus/embedded-postgres/testing';
import { startTestNats, type TestNats } from '@nexodus/messaging/testing';
import { deployFile, readDeployFile, repository } from './deploy-file.ts';
import { type ServiceName, serviceNames } from './service-settings.ts';

/** Options of a set of service processes. */
export interface ServiceProcessesOptions {
  /** Issuer that users log in with; one that nobody asks when absent. */
  readonly issuer?: { readonly url: string; readonly clientId: string; readonly caFile?: string };
  /** Address of the public API, of STUN and in the public certificate: an IP address. Default 127.0.0.1. */
  readonly publicHost?: string;
  /** Port of the public API; a free one when absent. */
  readonly publicPort?: number;
  /** Further variables for one service, such as another certificate to show. */
  readonly environment?: Partial<Record<ServiceName, Readonly<Record<string, string>>>>;
  /** Which services to start; all when absent. */
  readonly services?: readonly ServiceName[];
}

/** One running service. */
export interface RunningService {
  readonly child: ChildProcess;
  /** Lines of its standard error so far: its log. */
  readonly lines: readonly string[];
  /** Where /healthz, /readyz and /metrics are. */
  readonly healthUrl: string;
  /** Sends SIGTERM and resolves to [exit status, signal]. */
  terminate(): Promise<unknown[]>;
}

/** A running set of services. */
export interface ServiceProcesses {
  readonly services: ReadonlyMap<ServiceName, RunningService>;
  /** Such as https://127.0.0.1:41234: what `nexd up --service-url` takes. */
  readonly publicUrl: string;
  /** Certificate of the authority of the public certificate. */
  readonly publicCaFile: string;
  /** Its fingerprint, for `--ca-sha256`. */
  readonly publicCaSha256: string;
  /** Folder with the certificates and secrets of deploy/prepare.ts. */
  readonly secretsFolder: string;
  /** URL of the database as superuser, such as for making a first organization. */
  readonly databaseUrl: string;
  /** nats-server, which demands a certificate of the internal authority. */
  readonly natsUrl: string;
  /** Starts a service again after it ended, with the same files and addresses. */
  restart(service: ServiceName): Promise<void>;
  /** Internal address of a service, `127.0.0.1:port`. */
  internalAddress(service: ServiceName): string;
  /** Ends everything and removes what was written. Idempotent. */
  stop(): Promise<void>;
}

/** What starting takes at most: node reads and strips some hundred files for each process. */
const READY_TIMEOUT_MS = 60_000;

/** Starts PostgreSQL, NATS and the services, and waits until each says that it is ready. */
export async function startServiceProcesses(
  options: ServiceProcessesOptions = {},
): Promise<ServiceProcesses> {
  const cleanUp = new AsyncDisposableStack();
  try {
    return await start(options, cleanUp);
  } catch (error) {
    await cleanUp.disposeAsync();
    throw error;
  }
}

interface Ground {
  readonly postgres: TestPostgres;
  readonly nats: TestNats;
  readonly databaseUrl: string;
  readonly secrets: string;
  readonly publicCaSha256: string;
  readonly publicHost: string;
  readonly ports: ReadonlyMap<string, number>;
}

async function start(
  options: ServiceProcessesOptions,
  cleanUp: AsyncDisposableStack,
): Promise<ServiceProcesses> {
  const ground = await prepareGround(options, cleanUp);
  const services = new Map<ServiceName, RunningService>();
  const startOne = async (name: ServiceName): Promise<void> => {
    const service = startService(name, environmentOf(name, options, ground));
    services.set(name, service);
    cleanUp.defer(() => end(service));
    await untilReady(name, service);
  };
  // All at once: none may depend on the order in which the others come up.
  await Promise.all((options.services ?? serviceNames).map(startOne));
  return {
    services,
    publicUrl: `https://${urlHost(ground.publicHost)}:${portOf(ground, 'public')}`,
    publicCaFile: join(ground.secrets, 'public-ca.pem'),
    publicCaSha256: ground.publicCaSha256,
    secretsFolder: ground.secrets,
    databaseUrl: ground.databaseUrl,
    natsUrl: tlsUrl(ground.nats),
    restart: startOne,
    internalAddress: (service) => `127.0.0.1:${portOf(ground, service)}`,
    stop: () => cleanUp.disposeAsync(),
  };
}

async function prepareGround(
  { publicHost = '127.0.0.1', publicPort }: ServiceProcessesOptions,
  cleanUp: AsyncDisposableStack,
): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'nexodus-services-'));
  cleanUp.defer(() => rm(folder, { recursive: true, force: true }));
  const publicCaSha256 = await prepareInstallation({
    composeFolder: folder,
    stateFolder: join(folder, 'state'),
    host: publicHost,
    address: publicHost,
    internalAddresses: ['127.0.0.1'],
    user: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    now: new Date(),
  });
  const secrets = join(folder, 'state', 'secrets');
  const postgres = await startTestPostgres();
  cleanUp.defer(() => postgres.stop());
  const databaseUrl = await postgres.createDatabase();
  await prepareDatabase({ url: databaseUrl, secretsFolder: secrets });
  const nats = await startTestNats(
    readDeployFile('nats/access.conf').replaceAll('/run/secrets', secrets),
  );
  cleanUp.defer(() => nats.stop());
  const ports = await freePorts(['public', ...serviceNames, ...serviceNames.map(healthOf)]);
  if (publicPort !== undefined) ports.set('public', publicPort);
  return { postgres, nats, databaseUrl, secrets, publicCaSha256, publicHost, ports };
}

/** The shipped files say everything; this says where things are on this machine. */
function environmentOf(
  name: ServiceName,
  options: ServiceProcessesOptions,
  ground: Ground,
): Record<string, string> {
  const { secrets } = ground;
  const own: Record<string, string> = {
    NEXODUS_METRICS_LISTEN: `127.0.0.1:${portOf(ground, healthOf(name))}`,
    NEXODUS_INTERNAL_LISTEN: `127.0.0.1:${portOf(ground, name)}`,
    NEXODUS_INTERNAL_CERTIFICATE_FILE: join(secrets, `${name}.pem`),
    NEXODUS_INTERNAL_KEY_FILE: join(secrets, `${name}.key`),
    NEXODUS_INTERNAL_CA_FILE: join(secrets, 'internal-ca.pem'),
    NEXODUS_OTLP_ENDPOINT: 'http://127.0.0.1:9',
  };
  const particular = {
    apiserver: () => ({
      ...databaseOf('apiserver', ground),
      ...natsOf('apiserver', ground),
      ...apiOf(options, ground),
    }),
    ipam: () => databaseOf('ipam', ground),
    policy: () => ({ NEXODUS_APISERVER_ADDRESS: `127.0.0.1:${portOf(ground, 'apiserver')}` }),
    stun: () => ({
      ...natsOf('stun', ground),
      NEXODUS_STUN_LISTEN: JSON.stringify([`${urlHost(ground.publicHost)}:0`]),
      NEXODUS_STUN_PUBLIC_ADDRESSES: '[]',
    }),
    relay: () => ({
      ...natsOf('relay', ground),
      NEXODUS_APISERVER_ADDRESS: `127.0.0.1:${portOf(ground, 'apiserver')}`,
      NEXODUS_RELAY_LISTEN: `${urlHost(ground.publicHost)}:0`,
      NEXODUS_RELAY_CERTIFICATE_FILE: join(secrets, 'relay-public.pem'),
      NEXODUS_RELAY_KEY_FILE: join(secrets, 'relay-public.key'),
      NEXODUS_RELAY_UDP_STUN_PORT: '0',
      // The kernel of the machine that runs the tests is left alone.
      NEXODUS_RELAY_UDP_OFFLOAD: 'false',
      NEXODUS_RELAY_UDP_ADDRESSES: JSON.stringify([ground.publicHost]),
    }),
  }[name]();
  return { ...own, ...particular, ...options.environment?.[name] };
}

function databaseOf(
  role: (typeof databaseRoles)[number],
  { postgres, databaseUrl, secrets }: Ground,
): Record<string, string> {
  const { pathname } = new URL(databaseUrl);
  return {
    NEXODUS_DATABASE_URL: postgres.url(pathname.slice(1), role),
    NEXODUS_DATABASE_PASSWORD_FILE: join(secrets, `${role}.database-password`),
  };
}

function natsOf(name: ServiceName, { nats, secrets }: Ground): Record<string, string> {
  return {
    NEXODUS_NATS_SERVERS: JSON.stringify([tlsUrl(nats)]),
    NEXODUS_NATS_CA_FILE: join(secrets, 'internal-ca.pem'),
    NEXODUS_NATS_CERTIFICATE_FILE: join(secrets, `${name}.pem`),
    NEXODUS_NATS_KEY_FILE: join(secrets, `${name}.key`),
  };
}

function tlsUrl({ url }: TestNats): string {
  return url.replace('nats:', 'tls:');
}

function apiOf({ issuer }: ServiceProcessesOptions, ground: Ground): Record<string, string> {
  const { secrets, publicHost } = ground;
  const listen = `${urlHost(publicHost)}:${portOf(ground, 'public')}`;
  const { url, clientId, caFile } = issuer ?? {
    url: 'https://127.0.0.1:9/realms/nexodus',
    clientId: 'nexodus-cli',
  };
  return {
    NEXODUS_ROOT_SECRET_FILE: join(secrets, 'root-secret'),
    NEXODUS_API_LISTEN: listen,
    NEXODUS_API_CERTIFICATE_FILE: join(secrets, 'public.pem'),
    NEXODUS_API_KEY_FILE: join(secrets, 'public.key'),
    NEXODUS_API_PUBLIC_URLS: JSON.stringify([`https://${listen}`]),
    NEXODUS_CONSOLE_URL: url,
    NEXODUS_ISSUERS: JSON.stringify([{ url, client_id: clientId, ca_file: caFile }]),
    NEXODUS_IPAM_ADDRESS: `127.0.0.1:${portOf(ground, 'ipam')}`,
    NEXODUS_POLICY_ADDRESS: `127.0.0.1:${portOf(ground, 'policy')}`,
  };
}

function startService(name: ServiceName, environment: Record<string, string>): RunningService {
  const args = [`services/${name}/main.ts`, '--config', deployFile(`config/${name}.yaml`)];
  // The kernel ends it with the test process, however that ends.
  const command = ['--pdeathsig', 'KILL', '--', process.execPath, ...args];
  const child = spawn('setpriv', command, {
    cwd: repository,
    // Of its own: variables of the test run are no settings of the service.
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => lines.push(line));
  return {
    child,
    lines,
    healthUrl: `http://${environment['NEXODUS_METRICS_LISTEN']}`,
    terminate: () => {
      child.kill('SIGTERM');
      return exited;
    },
  };
}

async function untilReady(name: ServiceName, service: RunningService): Promise<void> {
  const { child, healthUrl, lines } = service;
  const ready = eventually(
    async () => {
      if (hasEnded(child)) return 'ended';
      const { ok } = await fetch(`${healthUrl}/readyz`);
      return ok && 'ready';
    },
    { timeoutMs: READY_TIMEOUT_MS },
  );
  const state = await ready.catch(() => 'not ready');
  if (state !== 'ready') throw new Error(`${name} is ${state}:\n${lines.slice(-20).join('\n')}`);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function end({ child }: RunningService): Promise<void> {
  if (hasEnded(child)) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

function healthOf(name: ServiceName): string {
  return `${name} health`;
}

function portOf({ ports }: Pick<Ground, 'ports'>, name: string): number {
  const port = ports.get(name);
  if (port === undefined) throw new Error(`no port was chosen for ${name}`);
  return port;
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Ports that were free a moment ago, all open at once so that they differ. The services name each other in their settings,
 * so the system cannot choose when they listen.
 */
async function freePorts(names: readonly string[]): Promise<Map<string, number>> {
  const servers = await Promise.all(
    names.map(async (name) => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return { name, server };
    }),
  );
  const ports = new Map<string, number>();
  for (const { name, server } of servers) {
    const address = server.address();
    if (typeof address === 'object' && address !== null) ports.set(name, address.port);
    server.close();
  }
  return ports;
}

/** The certificate and key of a service from a set of processes, as a caller shows them. */
export async function identityOf(
  { secretsFolder }: Pick<ServiceProcesses, 'secretsFolder'>,
  service: string,
): Promise<{ ca: string; certificate: string; key: string }> {
  const read = (name: string) => readFile(join(secretsFolder, name), 'utf8');
  const [ca, certificate, key] = await Promise.all([
    read('internal-ca.pem'),
    read(`${service}.pem`),
    read(`${service}.key`),
  ]);
  return { ca, certificate, key };
}
