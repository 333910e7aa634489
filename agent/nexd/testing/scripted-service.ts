import {
  AgentServiceDefinition,
  type AgentServiceImplementation,
  type EnrollResponse,
} from '@nexodus/contracts/agent';
import { WireGuardPrivateKey } from '@nexodus/wireguard';
import {
  bindScript,
  startTlsService,
  type TlsService,
} from '../../service-access/testing/tls-service.ts';

/** Methods that a test answers itself; all others are out of reach. */
type AgentScript = Partial<AgentServiceImplementation>;

/** The API of a service, as far as a device that joins needs it, answered by the script of a test. */
export interface ScriptedService extends TlsService {
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
  const script: AgentScript = {
    beginEnroll: async () => ({
      nonce: Buffer.alloc(32, 1),
      serverPublicKey: Buffer.from(WireGuardPrivateKey.generate().publicKey),
      cookie: Buffer.alloc(1),
    }),
    enroll: async () => enrolled,
  };
  const service = await startTlsService({
    services: [bindScript<AgentServiceImplementation>(AgentServiceDefinition, script)],
  });
  return Object.assign(service, { script });
}
