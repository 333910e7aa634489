import { AgentServiceDefinition, type EnrollResponse } from '@nexodus/contracts/agent';
import {
  type EnrolmentCredential,
  type EnrolmentProof,
  proveEnrolment,
  type RegistrationKey,
} from '@nexodus/device-identity';
import { createRpcClient } from '@nexodus/rpc';
import { parseX25519PublicKey } from '@nexodus/wireguard';
import type { ServiceConnection } from '../service-access/service-connection.ts';
import type { DeviceKeys } from '../state/device-keys.ts';

/** By what right the device joins: a registration key, or a person who logged in. */
export type JoinCredential =
  | { readonly kind: 'registration-key'; readonly key: RegistrationKey }
  | { readonly kind: 'user'; readonly userId: string; readonly idToken: string };

/** What a device asks for when it joins. */
export interface EnrolmentWish {
  readonly keys: DeviceKeys;
  readonly credential: JoinCredential;
  readonly hostname: string;
  /** Operating system, such as "linux". */
  readonly os: string;
  /** VPC by id or name; empty: the key's, or the only one. */
  readonly vpc: string;
  /** Organization by id or name; empty: the only one. */
  readonly organization: string;
  readonly signal?: AbortSignal;
}

/**
 * Enrols the device: proves possession of its three keys over the transcript of docs/protocol/enrolment.md. Repeating it
 * with the same keys gives the same device.
 *
 * @throws {RpcError} as AgentService.Enroll says
 */
export async function enrolDevice(
  connection: ServiceConnection,
  wish: EnrolmentWish,
): Promise<EnrollResponse> {
  const { keys, credential, hostname, os, vpc, organization, signal } = wish;
  const client = createRpcClient(AgentServiceDefinition, connection.channel, {
    authorize: () => Promise.resolve(bearerOf(credential)),
  });
  const { nonce, serverPublicKey, cookie } = await client.beginEnroll({}, { signal });
  const proof = proveEnrolment({
    audience: connection.url.origin,
    nonce,
    serverKey: parseX25519PublicKey(serverPublicKey, 'enrolment'),
    credential: transcriptCredential(credential),
    deviceKey: keys.device,
    wireGuardKey: keys.wireGuard,
    discoKey: keys.disco,
  });
  return client.enroll(
    {
      cookie,
      devicePublicKey: Buffer.from(keys.device.publicKey),
      wireguardPublicKey: Buffer.from(keys.wireGuard.publicKey),
      discoPublicKey: Buffer.from(keys.disco.publicKey),
      ...wireProof(proof),
      credential:
        credential.kind === 'user'
          ? { $case: 'userId', value: credential.userId }
          : { $case: 'registrationKey', value: credential.key.exportText() },
      hostname,
      os,
      vpc,
      organization,
    },
    { signal },
  );
}

function bearerOf(credential: JoinCredential): Record<string, string> {
  return credential.kind === 'user' ? { authorization: `Bearer ${credential.idToken}` } : {};
}

function transcriptCredential(credential: JoinCredential): EnrolmentCredential {
  return credential.kind === 'user'
    ? { kind: 'user', userId: credential.userId }
    : { kind: 'registration-key', hash: credential.key.hash };
}

function wireProof(proof: EnrolmentProof) {
  return {
    signature: Buffer.from(proof.signature),
    wireguardProof: Buffer.from(proof.wireGuardProof),
    discoProof: Buffer.from(proof.discoProof),
  };
}
