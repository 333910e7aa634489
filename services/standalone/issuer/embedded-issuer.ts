/**
 * An OpenID Connect issuer for a service without one: the certified `oidc-provider`, its state in PostgreSQL, its own
 * login pages. It is mounted below a path of the HTTPS address.
 */
import { hkdfSync } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '@nexodus/clock';
import type { Database } from '@nexodus/database';
import type { Part } from '@nexodus/lifecycle';
import type { Logger } from '@nexodus/telemetry';
import Provider from 'oidc-provider';
import { type AccountStore, createAccountStore } from './account-store.ts';
import { createAttemptLimit } from './attempt-limit.ts';
import { initialSchema } from './initial-schema.ts';
import { createInteractionPages } from './interaction-pages.ts';
import { issuerConfiguration, isRefusal } from './issuer-configuration.ts';
import { createPostgresAdapter, removeEndedRecords } from './postgres-adapter.ts';
import { createRecordSeal } from './record-seal.ts';
import { jwksOf, type SigningKeys } from './signing-keys.ts';

/** What the issuer is made of. */
export interface EmbeddedIssuerOptions {
  /** Issuer identifier: the HTTPS origin and the path at which it is mounted. */
  url: string;
  /** Opened on a schema of its own. */
  database: Database;
  clock: Clock;
  logger: Logger;
  /** 32 bytes, from which it derives keys for cookies, forms and records. */
  rootSecret: Uint8Array;
  signingKeys: SigningKeys;
}

/** An issuer that can be mounted. */
export interface EmbeddedIssuer {
  /** The schema, and the removal of what has ended. */
  readonly parts: readonly Part[];
  readonly accounts: AccountStore;
  /** Whether the path lies below its mount. */
  covers(path: string): boolean;
  handle(request: IncomingMessage, response: ServerResponse): void;
}

/** How often ended records are removed, in milliseconds. */
const sweepIntervalMs = 10 * 60_000;

/** Builds the issuer. */
export function createEmbeddedIssuer(options: EmbeddedIssuerOptions): EmbeddedIssuer {
  const { database, logger } = options;
  const { origin, pathname: mountPath } = new URL(options.url);
  const accounts = createAccountStore(database);
  const prefilled = new WeakMap<IncomingMessage, string>();
  const derive = (info: string): Buffer =>
    Buffer.from(hkdfSync('sha256', options.rootSecret, new Uint8Array(), info, 32));
  const records = { database, clock: options.clock, seal: createRecordSeal(options.rootSecret) };
  const provider = new Provider(
    options.url,
    issuerConfiguration({
      origin,
      mountPath,
      accounts,
      adapter: createPostgresAdapter(records),
      jwks: jwksOf(options.signingKeys),
      cookieKeys: [derive('nexodus-issuer-cookies-v1').toString('base64url')],
      prefilledCode: (request) => prefilled.get(request),
    }),
  );
  provider.on('server_error', (_ctx, error) => logger.error({ error }, 'the issuer failed'));
  const mounted = createMount({
    provider,
    origin,
    mountPath,
    accounts,
    prefilled,
    formKey: derive('nexodus-issuer-forms-v1'),
  });
  return {
    parts: [schemaPart(database), sweepPart(records, logger)],
    accounts,
    covers: (path) => path === mountPath || path.startsWith(`${mountPath}/`),
    handle: (request, response) => {
      mounted(request, response).catch((error: unknown) => {
        if (!isRefusal(error)) logger.error({ error }, 'the issuer failed');
        if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
        response.end('something went wrong here: try again\n');
      });
    },
  };
}

interface MountOptions {
  provider: Provider;
  origin: string;
  mountPath: string;
  accounts: AccountStore;
  prefilled: WeakMap<IncomingMessage, string>;
  formKey: Uint8Array;
}

function createMount(
  options: MountOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { provider, origin, mountPath, prefilled } = options;
  const codeLimit = createAttemptLimit('code');
  const interactions = createInteractionPages({
    ...options,
    limit: createAttemptLimit('password'),
  });
  const serve = provider.callback();
  return async (request, response) => {
    if (request.headers.host !== new URL(origin).host) return toOwnHost(request, response, origin);
    const original = request.url ?? '/';
    const below = new URL(original.slice(mountPath.length) || '/', origin);
    if (await interactions(request, response, below.pathname)) return;
    if (below.pathname === '/device' && request.method === 'POST') {
      const waitSeconds = await codeLimit.attempt(request.socket.remoteAddress ?? '', 'codes');
      if (waitSeconds !== undefined) return tooMany(response, waitSeconds);
    }
    const code = below.searchParams.get('user_code');
    if (below.pathname === '/device' && code !== null) {
      // The provider would send the form by a script, which no page here may run.
      prefilled.set(request, code.slice(0, 32));
      below.searchParams.delete('user_code');
    }
    // What was cut off goes to the provider as express hands it on: it builds its links from the difference.
    Object.assign(request, { originalUrl: mountPath + below.pathname + below.search });
    request.url = below.pathname + below.search;
    await serve(request, response);
  };
}

/** Links are built from the Host header, and cookies belong to one host: only its own is served. */
function toOwnHost(request: IncomingMessage, response: ServerResponse, origin: string): void {
  if (request.method === 'GET' || request.method === 'HEAD') {
    response.writeHead(307, { location: new URL(request.url ?? '/', origin).href }).end();
  } else {
    response.writeHead(421, { 'content-type': 'text/plain' }).end(`this is ${origin}\n`);
  }
}

function tooMany(response: ServerResponse, waitSeconds: number): void {
  response.writeHead(429, { 'content-type': 'text/plain', 'retry-after': String(waitSeconds) });
  response.end(`too many attempts: wait ${waitSeconds} seconds and try again\n`);
}

function schemaPart(database: Database): Part {
  return {
    name: 'issuer schema',
    start: async () => void (await database.migrate([initialSchema])),
    stop: () => Promise.resolve(),
  };
}

function sweepPart(records: Parameters<typeof removeEndedRecords>[0], logger: Logger): Part {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  const work = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await removeEndedRecords(records).catch((error: unknown) =>
        logger.warn({ error }, 'ended logins could not be removed'),
      );
      await records.clock.wait(sweepIntervalMs, stopping.signal);
    }
  };
  return {
    name: 'issuer sweep',
    start: () => {
      running = work();
      return Promise.resolve();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
