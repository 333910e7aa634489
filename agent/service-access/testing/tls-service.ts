import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertificateAuthority, issueServerCertificate } from '@nexodus/certificates';
import { ServiceInfoServiceDefinition } from '@nexodus/contracts/api';
import {
  type BoundService,
  createBinder,
  type DefinitionOn,
  RpcError,
  startRpcServer,
  Status,
} from '@nexodus/rpc';

/** Who calls a service of a test, as its `authenticate` says. */
type TestCaller = string | null;

/** The public API of a service on TLS, as far as a test makes it. */
export interface TlsService extends AsyncDisposable {
  /** Origin, which is also the audience. */
  readonly url: string;
  readonly port: number;
  /** PEM file. */
  readonly caFile: string;
  readonly caPem: string;
}

/** What a test serves. */
export interface TlsServiceOptions {
  readonly services: readonly BoundService<'public', TestCaller>[];
  /** Who shows this authorization, or throws UNAUTHENTICATED. Default: everybody is nobody. */
  readonly authenticate?: (authorization: string | undefined) => TestCaller;
  /** Port by which others reach it, where that is another one than it listens on. */
  readonly publicPort?: () => number;
}

/** Starts a service with a CA of its own that says of itself what the real one says. */
export async function startTlsService(options: TlsServiceOptions): Promise<TlsService> {
  await using stack = new AsyncDisposableStack();
  const now = new Date();
  const ca = await createCertificateAuthority({ commonName: 'Test CA', now, years: 1 });
  const ipAddresses = ['127.0.0.1'];
  const leaf = await issueServerCertificate({ ca, dnsNames: [], ipAddresses, now, days: 1 });
  const folder = await mkdtemp(join(tmpdir(), 'nexd-service-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, ca.certificatePem);
  const origin = (): string => `https://127.0.0.1:${options.publicPort?.() ?? server.port}`;
  const info = createBinder<'public', TestCaller>('public')(ServiceInfoServiceDefinition, {
    getServiceInfo: async () => ({
      version: '0',
      audiences: [origin()],
      issuers: [],
      consoleUrl: '',
      serverTimeMs: BigInt(Date.now()),
    }),
  });
  const server = await startRpcServer<'public', TestCaller>({
    surface: 'public',
    address: '127.0.0.1:0',
    tls: { certificate: leaf.certificatePem, key: leaf.key.exportPem() },
    services: [info, ...options.services],
    authenticate: async ({ context }) =>
      options.authenticate?.(context.metadata.get('authorization')) ?? null,
  });
  stack.defer(() => server.stop(0));
  const owned = stack.move();
  return {
    get url() {
      return origin();
    },
    port: server.port,
    caFile,
    caPem: ca.certificatePem,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A service of which a test answers some methods, looked up at each call; the others are out of reach. */
export function bindScript<Implementation extends object>(
  definition: DefinitionOn<'public'>,
  script: Partial<Implementation>,
): BoundService<'public', TestCaller> {
  const methods = Object.keys(definition.methods).map((name) => {
    const call = (...args: unknown[]): unknown => {
      const scripted: unknown = Reflect.get(script, name);
      if (typeof scripted === 'function') return Reflect.apply(scripted, script, args);
      throw new RpcError(Status.UNAVAILABLE, 'not in the script');
    };
    return [name, call] as const;
  });
  const implementation = Object.fromEntries(methods) as never; // has each method of the definition
  return createBinder<'public', TestCaller>('public')(definition, implementation);
}
