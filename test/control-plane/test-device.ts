import {
  AgentServiceDefinition,
  type EnrollRequest,
  type EnrollResponse,
} from '@nexodus/contracts/agent';
import {
  createClientAssertion,
  type DevicePrivateKey,
  Ed25519PrivateKey,
  parseRegistrationKey,
  proveEnrolment,
  signBinding,
} from '@nexodus/device-identity';
import { DiscoPrivateKey, parseX25519PublicKey, WireGuardPrivateKey } from '@nexodus/wireguard';
import { type ApiCaller, anonymousCaller, boundCaller } from './callers.ts';
import { type ControlPlane, testAudience } from './control-plane.ts';

/** Keys of a device. */
export interface DeviceKeys {
  device: DevicePrivateKey;
  wireGuard: WireGuardPrivateKey;
  disco: DiscoPrivateKey;
}

/** Fresh keys. */
export function makeDeviceKeys(): DeviceKeys {
  return {
    device: Ed25519PrivateKey.generate('device'),
    wireGuard: WireGuardPrivateKey.generate(),
    disco: DiscoPrivateKey.generate(),
  };
}

/** What may be asked of an enrolment besides the keys. */
export interface EnrolmentWishes {
  registrationKey: string;
  hostname?: string;
  /** Replaces parts of the request after the proofs were made. */
  tamper?: Partial<EnrollRequest>;
  audience?: string;
}

/** Enrols as an agent does. */
export async function enrol(
  plane: ControlPlane,
  keys: DeviceKeys,
  wishes: EnrolmentWishes,
): Promise<EnrollResponse> {
  const { client, close } = anonymousCaller(plane);
  try {
    const agent = client(AgentServiceDefinition);
    const begun = await agent.beginEnroll({});
    const proof = proveEnrolment({
      audience: wishes.audience ?? testAudience,
      nonce: begun.nonce,
      serverKey: parseX25519PublicKey(begun.serverPublicKey, 'enrolment'),
      credential: {
        kind: 'registration-key',
        hash: parseRegistrationKey(wishes.registrationKey).hash,
      },
      deviceKey: keys.device,
      wireGuardKey: keys.wireGuard,
      discoKey: keys.disco,
    });
    return await agent.enroll({
      cookie: begun.cookie,
      devicePublicKey: Buffer.from(keys.device.publicKey),
      wireguardPublicKey: Buffer.from(keys.wireGuard.publicKey),
      discoPublicKey: Buffer.from(keys.disco.publicKey),
      signature: Buffer.from(proof.signature),
      wireguardProof: Buffer.from(proof.wireGuardProof),
      discoProof: Buffer.from(proof.discoProof),
      credential: { $case: 'registrationKey', value: wishes.registrationKey },
      hostname: wishes.hostname ?? 'machine',
      os: 'linux',
      ...wishes.tamper,
    });
  } finally {
    close();
  }
}

/** Calls as a device that was enrolled. */
export async function deviceCaller(
  plane: ControlPlane,
  id: string,
  key: DevicePrivateKey,
): Promise<ApiCaller> {
  const { channel, close, client } = anonymousCaller(plane);
  const assertion = await createClientAssertion({
    subject: id,
    audience: testAudience,
    key,
    now: new Date(),
  });
  const { accessToken } = await client(AgentServiceDefinition).authenticate({ assertion });
  return boundCaller({ channel, close, accessToken, key });
}

/** A binding as the agent signs it. */
export function bindingOf(
  keys: DeviceKeys,
  { deviceId, vpcId }: EnrollResponse,
  serial: bigint,
): {
  deviceId: string;
  vpcId: string;
  wireguardPublicKey: Buffer;
  discoPublicKey: Buffer;
  serial: bigint;
  notAfter: bigint;
  signature: Buffer;
} {
  const notAfterSeconds = Math.floor(Date.now() / 1000) + 86_400;
  const signed = signBinding(
    {
      deviceId,
      vpcId,
      wireGuardKey: keys.wireGuard.publicKey,
      discoKey: keys.disco.publicKey,
      serial,
      notAfterSeconds,
    },
    keys.device,
  );
  return {
    deviceId,
    vpcId,
    wireguardPublicKey: Buffer.from(keys.wireGuard.publicKey),
    discoPublicKey: Buffer.from(keys.disco.publicKey),
    serial,
    notAfter: BigInt(notAfterSeconds),
    signature: Buffer.from(signed.signature),
  };
}
