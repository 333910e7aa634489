import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertificateAuthority, issueServerCertificate } from '@nexodus/certificates';
import {
  AgentServiceDefinition,
  type AgentServiceImplementation,
  type EnrollResponse,
} from '@nexodus/contracts/agent';
import { ServiceInfoServiceDefinition } from '@nexodus/contracts/api';
import { createBinder, RpcError, startRpcServer, Status } from '@nexodus/rpc';
import { WireGuardPrivateKey } from '@nexodus/wireguard';

/** Methods that a test answers itself; all others are out of reach. */
export type AgentScript = Partial<AgentServiceImplementation>;

/** The API of a service on TLS, as far as a device that joins needs it, answered by the script of a test. */
export interface ScriptedService extends AsyncDisposable {
  readonly url: string;
  /** PEM file. */
  readonly caFile: string;
  /** May be changed at any time. */
  readonly script: AgentScript;
}

/** What a device that joins is told, where a test does not care. */
export const enrolled: EnrollResponse = {
  deviceId: 'd',
  vpcId: 'v',
  vpcName: 'default',
  organizationId: 'o',
  hostname: 'a',
  ipv4Address: '100.64.0.1',
  ipv6Address: 'fd00::1',
  expireTime: new Date('2100-01-01T00:00:00Z'),
  bindingSerial: 0n,
};

/** Starts a service that lets every device in. */
export async function startScriptedService(): Promise<ScriptedService> {
  await using stack = new AsyncDisposableStack();
  const now = new Date();
  const ca = await createCertificateAuthority({ commonName: 'Test CA', now, years: 1 });
  const ipAddresses = ['127.0.0.1'];
  const leaf = await issueServerCertificate({ ca, dnsNames: [], ipAddresses, now, days: 1 });
  const folder = await mkdtemp(join(tmpdir(), 'nexd-service-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, ca.certificatePem);
  const script: AgentScript = {
    beginEnroll: async () => ({
      nonce: Buffer.alloc(32, 1),
      serverPublicKey: Buffer.from(WireGuardPrivateKey.generate().publicKey),
      cookie: Buffer.alloc(1),
    }),
    enroll: async () => enrolled,
  };
  const audiences: string[] = [];
  const bind = createBinder<'public', null>('public');
  const server = await startRpcServer({
    surface: 'public',
    address: '127.0.0.1:0',
    tls: { certificate: leaf.certificatePem, key: leaf.key.exportPem() },
    services: [
      bind(AgentServiceDefinition, followScript(script)),
      bind(ServiceInfoServiceDefinition, {
        getServiceInfo: async () => ({
          version: '0',
          audiences,
          issuers: [],
          consoleUrl: '',
          serverTimeMs: BigInt(Date.now()),
        }),
      }),
    ],
    authenticate: async () => null,
  });
  stack.defer(() => server.stop(0));
  const url = `https://127.0.0.1:${server.port}`;
  audiences.push(url);
  const owned = stack.move();
  return { url, caFile, script, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Looks the method up at each call. */
function followScript(script: AgentScript): AgentServiceImplementation {
  const methods = Object.keys(AgentServiceDefinition.methods).map((name) => {
    const call = (...args: unknown[]): unknown => {
      const scripted: unknown = Reflect.get(script, name);
      if (typeof scripted === 'function') return Reflect.apply(scripted, script, args);
      throw new RpcError(Status.UNAVAILABLE, 'not in the script');
    };
    return [name, call] as const;
  });
  return Object.fromEntries(methods) as unknown as AgentServiceImplementation; // has each method of the definition
}
