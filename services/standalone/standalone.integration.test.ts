import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { audienceOf } from '@nexodus/apiserver';
import { certificateFingerprint } from '@nexodus/certificates';
import { eventually } from '@nexodus/clock/testing';
import {
  createClientAssertion,
  createProofOfPossession,
  Ed25519PrivateKey,
} from '@nexodus/device-identity';
import { startTestPostgres } from '@nexodus/embedded-postgres/testing';
import {
  customFetch,
  discovery,
  initiateDeviceAuthorization,
  None,
  pollDeviceAuthorizationGrant,
  refreshTokenGrant,
} from 'openid-client';
import { Agent, fetch as undiciFetch } from 'undici';
import { afterEach, beforeEach, expect, onTestFailed, test } from 'vitest';
import { cliClientId } from './issuer/issuer-configuration.ts';
import {
  completeDeviceLogin,
  openTestBrowser,
  spawnStandalone,
  type StandaloneProcess,
} from './testing.ts';

const stops: (() => unknown)[] = [];
let parent: string;
let dataDir: string;
beforeEach(() => {
  // Only its owner can enter it, as root's home.
  parent = mkdtempSync(join(tmpdir(), 'nexodus-standalone-'));
  chmodSync(parent, 0o700);
  dataDir = join(parent, 'data');
});
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
  // The PostgreSQL of a killed service writes until it has ended.
  await eventually(() => processesIn(dataDir).length === 0, { timeoutMs: 60_000 });
  rmSync(parent, { recursive: true, force: true });
});

const anyPorts = {
  NEXODUS_API_LISTEN: '127.0.0.1:0',
  NEXODUS_HTTPS_LISTEN: '127.0.0.1:0',
  NEXODUS_RELAY_LISTEN: '127.0.0.1:0',
  NEXODUS_STUN_LISTEN: '["127.0.0.1:0"]',
  NEXODUS_METRICS_LISTEN: '127.0.0.1:0',
};

/**
 * Ports that are still free after a restart: below those that Linux gives to whoever asks for none in particular (ip(7),
 * ip_local_port_range).
 */
async function keptPorts(): Promise<Record<string, string>> {
  const api = `127.0.0.1:${await unaskedPort()}`;
  const https = `127.0.0.1:${await unaskedPort()}`;
  return { ...anyPorts, NEXODUS_API_LISTEN: api, NEXODUS_HTTPS_LISTEN: https };
}

async function unaskedPort(): Promise<number> {
  const [lowest = ''] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split('\t');
  const span = 10_000;
  return eventually(async () => {
    const port = Number(lowest) - 1 - randomInt(span);
    const server = createServer();
    await once(server.listen(port, '127.0.0.1'), 'listening');
    await promisify(server.close.bind(server))();
    return port;
  });
}

function start(
  env: Readonly<Record<string, string>> = anyPorts,
  args: string[] = [],
): StandaloneProcess {
  const service = spawnStandalone({ NEXODUS_DATA_DIR: dataDir, ...env }, args);
  onTestFailed(() => {
    const { exitCode, signalCode } = service.child;
    console.error(service.output(), service.errors(), `exit ${exitCode}, signal ${signalCode}`);
  });
  stops.push(() => service.end('SIGKILL'));
  return service;
}

interface Printed {
  api: string;
  https: string;
  metrics: string;
}

function printed(service: StandaloneProcess): Printed {
  const find = (label: string): string =>
    new RegExp(`^ +${label} +(https?:\\S+)$`, 'm').exec(service.output())?.[1] ?? '';
  const [api, https, metrics] = ['Service', 'Console', 'Metrics'].map(find) as [
    string,
    string,
    string,
  ]; // three labels
  return { api, https: new URL(https).origin, metrics };
}

function trusting(): typeof fetch {
  const dispatcher = new Agent({ connect: { ca: readFileSync(join(dataDir, 'ca.pem'), 'utf8') } });
  stops.push(() => dispatcher.close());
  const fetchIt: unknown = (url: string, init: Parameters<typeof undiciFetch>[1]) =>
    undiciFetch(url, { ...init, dispatcher });
  // undici's fetch is the one that Node ships; only their type declarations differ.
  return fetchIt as typeof fetch;
}

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** A client of the gateway with the credentials that the first start wrote. */
function gatewayClient({ https }: Printed) {
  const credentials = JSON.parse(readFileSync(join(dataDir, 'bootstrap-credentials.json'), 'utf8'));
  const key = Ed25519PrivateKey.fromBase64(credentials.private_key, 'service-account');
  const audience = audienceOf(credentials.service_url);
  const fetchIt = trusting();
  const post = async (
    method: string,
    body: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    const response = await fetchIt(`${https}${method}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : { text } };
  };
  const authenticate = async (): Promise<string> => {
    const assertion = await createClientAssertion({
      subject: credentials.service_account_id,
      audience,
      key,
      now: new Date(),
    });
    const { body } = await post('/nexodus.api.v1.TokenService/ExchangeAssertion', { assertion });
    return String(body['accessToken']);
  };
  let token: string | undefined;
  const call = async (
    method: string,
    body: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    token ??= await authenticate();
    const dpop = await createProofOfPossession({
      key,
      accessToken: token,
      audience,
      method,
      now: new Date(),
    });
    return post(method, body, { authorization: `DPoP ${token}`, dpop, ...headers });
  };
  return { post, call, fetchIt };
}

/**
 * Processes that have something to do with the data directory. PostgreSQL of root has it in a mount namespace of its own,
 * where its paths are others: it is known by the directory that it works in.
 */
function processesIn(directory: string): string[] {
  const identity = (path: string): string | undefined => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found && `${found.dev} ${found.ino}`;
  };
  const cluster = identity(join(directory, 'postgres', 'data'));
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .filter((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8');
        return (
          command.includes(directory) ||
          readlinkSync(`/proc/${name}/cwd`).startsWith(directory) ||
          (cluster !== undefined && identity(`/proc/${name}/cwd`) === cluster)
        );
      } catch {
        return false;
      }
    });
}

function mode(name: string): string {
  return (statSync(join(dataDir, name)).mode & 0o777).toString(8);
}

const listVpcs = '/nexodus.api.v1.VpcService/ListVpcs';
const createVpc = '/nexodus.api.v1.VpcService/CreateVpc';

async function vpcNames({ call }: ReturnType<typeof gatewayClient>): Promise<unknown[]> {
  const { body } = await call(listVpcs, {});
  return (body['vpcs'] as { name: string }[]).map(({ name }) => name);
}

test('a first start makes everything, and what it prints and writes is enough to log in and to call the API', async () => {
  const env = await keptPorts();
  const service = start(env);
  await service.ready();
  const facts = printed(service);
  const caPem = readFileSync(join(dataDir, 'ca.pem'), 'utf8');
  const keyFile = join(dataDir, 'registration-key');
  expect(service.output()).toContain(
    `npx nexd up --service-url ${facts.api} --ca-sha256 ${certificateFingerprint(caPem)} --reg-key-file ${keyFile}\n`,
  );
  expect(readFileSync(keyFile, 'utf8')).toMatch(/^nxr_/);
  expect(service.output()).toContain('NEXODUS_API_LISTEN=');
  const secretFiles = [
    'ca.key',
    'server.key',
    'root-secret',
    'issuer-keys.json',
    'demo-password',
    'registration-key',
    'bootstrap-credentials.json',
  ];
  expect(secretFiles.map(mode)).toEqual(secretFiles.map(() => '600'));
  expect(mode('.')).toBe('700');
  const secrets = [
    readFileSync(join(dataDir, 'demo-password'), 'utf8').trim(),
    readFileSync(keyFile, 'utf8').trim(),
  ];
  for (const secret of secrets) expect(service.output() + service.errors()).not.toContain(secret);

  const client = gatewayClient(facts);
  const vpcs = await client.call(listVpcs, {});
  expect(vpcs).toMatchObject({
    status: 200,
    body: { vpcs: [{ name: 'default', isDefault: true }] },
  });

  const config = await discovery(new URL(`${facts.https}/oidc`), cliClientId, undefined, None(), {
    [customFetch]: client.fetchIt,
  });
  const device = await initiateDeviceAuthorization(config, {
    scope: 'openid email offline_access',
  });
  const browser = openTestBrowser({ ca: caPem });
  stops.push(() => browser.close());
  const code = device.user_code;
  await completeDeviceLogin(browser, {
    // The short address that people type leads to the same page.
    verificationUriComplete: `${facts.https}/device?user_code=${code}`,
    email: 'demo@nexodus.local',
    password: secrets[0] ?? '',
  });
  const tokens = await pollDeviceAuthorizationGrant(config, { ...device, interval: 0.01 });
  const whoAmI = await client.post(
    '/nexodus.api.v1.UserService/WhoAmI',
    {},
    {
      authorization: `Bearer ${tokens.id_token}`,
    },
  );
  expect(whoAmI).toMatchObject({
    status: 200,
    body: {
      user: { email: 'demo@nexodus.local', emailVerified: true },
      memberships: [{ organizationName: 'demo', role: 'ROLE_OWNER' }],
    },
  });

  const metrics = await fetch(facts.metrics);
  expect(metrics.status).toBe(200);
  expect((await fetch(facts.metrics.replace('/metrics', '/readyz'))).status).toBe(200);
  const page = await client.fetchIt(`${facts.https}/`);
  expect(await page.text()).toContain('This is a Nexodus service');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(page.headers.get('strict-transport-security')).toBe(null);

  const rest = await refreshTokenGrant(config, tokens.refresh_token ?? '');
  expect(await service.end('SIGINT')).toBe(0);
  expect(processesIn(dataDir)).toEqual([]);

  const again = start(env);
  await again.ready();
  expect(printed(again)).toMatchObject({ api: facts.api, https: facts.https });
  const refreshed = await refreshTokenGrant(config, rest.refresh_token ?? '');
  expect(refreshed.claims()).toMatchObject({ email: 'demo@nexodus.local' });
  expect(readFileSync(join(dataDir, 'demo-password'), 'utf8').trim()).toBe(secrets[0]);
  expect(readFileSync(keyFile, 'utf8').trim()).not.toBe(secrets[1]);
  expect(await again.end('SIGTERM')).toBe(0);
});

test('a kill loses nothing that was acknowledged, and the next start recovers', async () => {
  const env = await keptPorts();
  const service = start(env);
  await service.ready();
  const facts = printed(service);
  expect(await gatewayClient(facts).call(createVpc, { name: 'kept' })).toMatchObject({
    status: 200,
  });
  expect(await service.end('SIGKILL')).toBe('SIGKILL');
  const again = start(env);
  await again.ready();
  const client = gatewayClient(printed(again));
  expect(await vpcNames(client)).toEqual(['default', 'kept']);
  expect(await client.call(createVpc, { name: 'made-after' })).toMatchObject({ status: 200 });
  expect(await again.end('SIGINT')).toBe(0);
  expect(processesIn(dataDir)).toEqual([]);
});

test('asked to stop while it starts, it stops and never says that it is ready', async () => {
  const service = start();
  await eventually(() => service.output().includes('keys are there'), { timeoutMs: 60_000 });
  expect(await service.end('SIGINT')).toBe(0);
  expect(service.output()).toMatch(/stopped\n$/);
  expect(service.output()).not.toContain('ready');
  expect(processesIn(dataDir)).toEqual([]);
});

test("the gateway hands on the caller's own credential and serves nothing but the public API", async () => {
  const service = start();
  await service.ready();
  const { https } = printed(service);
  const client = gatewayClient(printed(service));
  // Nothing that a client claims of itself changes who it is.
  const forged = {
    'nexodus-peer-names': 'nexodus:service/apiserver',
    'x-forwarded-for': '192.0.2.1',
    'x-user': 'root',
  };
  const anonymous = await client.post(listVpcs, {}, forged);
  expect(anonymous).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
  expect(JSON.stringify(anonymous.body)).toContain('google.rpc.ErrorInfo');
  expect(await client.call(listVpcs, {}, forged)).toMatchObject({ status: 200 });

  expect(await client.call('/nexodus.agent.v1.AgentService/BeginEnroll', {})).toMatchObject({
    status: 404,
  });
  expect(await client.call('/nexodus.relay.v1.RelayService/GetStatistics', {})).toMatchObject({
    status: 404,
  });
  expect(await client.call('/nexodus.ipam.v1.IpamService/Reserve', {})).toMatchObject({
    status: 404,
  });
  expect((await client.fetchIt(`${https}${listVpcs}?message={}&encoding=json`)).status).toBe(405);
  expect(await client.call(listVpcs, {}, { cookie: 'session=1' })).toMatchObject({ status: 403 });
  const large = { name: 'x'.repeat(2 ** 21) };
  expect(await client.call(createVpc, large)).toMatchObject({
    body: { code: 'resource_exhausted' },
  });
  expect(await client.call(createVpc, { name: 'Not A Label' })).toMatchObject({
    status: 400,
    body: { code: 'invalid_argument' },
  });
  const grpc = await client.fetchIt(`${https}${listVpcs}`, {
    method: 'POST',
    body: Buffer.alloc(5),
    headers: { 'content-type': 'application/grpc' },
  });
  expect(grpc.status).toBe(415);
  const foreign = await client.fetchIt(`${https}${listVpcs}`, {
    method: 'OPTIONS',
    headers: { origin: 'https://elsewhere.example', 'access-control-request-method': 'POST' },
  });
  expect([foreign.status, foreign.headers.get('access-control-allow-origin')]).toEqual([405, null]);
  const traced = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const fault = await client.call(
    '/nexodus.api.v1.VpcService/GetVpc',
    { id: 'nothing' },
    { traceparent: traced },
  );
  expect(fault.status).toBe(404);
  expect(await service.end('SIGINT')).toBe(0);
});

async function failure(
  env: Record<string, string>,
  args: string[] = [],
): Promise<{ code: number | string; lines: string[] }> {
  const service = start({ ...anyPorts, ...env }, args);
  const code = await service.ended;
  return { code, lines: service.errors().trimEnd().split('\n') };
}

test('settings that cannot be used end it with 2 and one line each', async () => {
  expect(await failure({ NEXODUS_API_LISEN: 'x' })).toEqual({
    code: 2,
    lines: ['nexodus: NEXODUS_API_LISEN: no such setting'],
  });
  const file = join(parent, 'settings.yaml');
  writeFileSync(file, 'api:\n  listn: 127.0.0.1:1\n');
  expect(await failure({}, ['--config', file])).toEqual({
    code: 2,
    lines: [`nexodus: api.listn: no such setting (in ${file})`],
  });
  expect(await failure({ NEXODUS_API_LISTEN: '0.0.0.0:0' })).toMatchObject({
    code: 2,
    lines: [
      expect.stringMatching(
        /api\.public_url: is needed .* set NEXODUS_API_PUBLIC_URL, such as https:/,
      ),
    ],
  });
  expect(await failure({ NEXODUS_OIDC_EMBEDDED: 'false' })).toMatchObject({ code: 2 });
});

test('a taken port ends it with 2 and a line that names address, setting and remedy', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => server.close());
  const address = server.address();
  const at = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  for (const [variable, setting] of [
    ['NEXODUS_API_LISTEN', 'api.listen'],
    ['NEXODUS_HTTPS_LISTEN', 'https.listen'],
    ['NEXODUS_METRICS_LISTEN', 'metrics.listen'],
  ] as const) {
    expect(await failure({ [variable]: at })).toEqual({
      code: 2,
      lines: [
        `nexodus: another process listens on ${at}: set ${setting} (${variable}) to a free port, or stop that process`,
      ],
    });
  }
});

test('a second instance on the same data, an unreachable database and a file in the way end it with 1 and one line', async () => {
  const service = start();
  await service.ready();
  expect(await failure({})).toEqual({
    code: 1,
    lines: [
      `nexodus: another instance uses ${dataDir}: stop it, or choose another directory with NEXODUS_DATA_DIR`,
    ],
  });
  expect(await service.end('SIGINT')).toBe(0);
  expect(
    await failure({ NEXODUS_DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' }),
  ).toMatchObject({
    code: 1,
    lines: [
      expect.stringMatching(
        /^nexodus: the database postgres:\S+ cannot be reached .* change database\.url \(NEXODUS_DATABASE_URL\)$/,
      ),
    ],
  });
  const file = join(parent, 'file');
  writeFileSync(file, '');
  expect(await failure({ NEXODUS_DATA_DIR: file })).toMatchObject({
    code: 1,
    lines: [`nexodus: ${file} is a file: choose another directory with NEXODUS_DATA_DIR`],
  });
});

test('it runs on a PostgreSQL of ours, in a directory whose path is too long for a socket', async () => {
  const postgres = await startTestPostgres();
  stops.push(() => postgres.stop());
  dataDir = join(parent, randomBytes(60).toString('hex'));
  const service = start({ ...anyPorts, NEXODUS_DATABASE_URL: await postgres.createDatabase() });
  await service.ready();
  const facts = printed(service);
  expect(await vpcNames(gatewayClient(facts))).toEqual(['default']);
  const substitute = readFileSync(join(dataDir, 'internal-socket-directory'), 'utf8');
  expect((statSync(substitute).mode & 0o777).toString(8)).toBe('700');
  expect(readdirSync(dataDir)).not.toContain('postgres');
  expect(await service.end('SIGINT')).toBe(0);
  expect(() => statSync(substitute)).toThrow('ENOENT');
});
