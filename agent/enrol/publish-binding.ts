import type { AgentServiceDefinition } from '@nexodus/contracts/agent';
import { type PeerBinding, signBinding } from '@nexodus/device-identity';
import type { RpcClient } from '@nexodus/rpc';
import {
  BINDING_LIFETIME_SECONDS,
  decideBinding,
  type PublishedBinding,
} from '../core/own-binding.ts';
import type { Enrolment } from '../state/agent-state.ts';
import type { DeviceKeys } from '../state/device-keys.ts';

/** What publishing needs. */
export interface BindingPublisherOptions {
  readonly keys: DeviceKeys;
  /** Client whose calls carry token and proof. */
  readonly client: Pick<RpcClient<AgentServiceDefinition>, 'publishBinding'>;
  /** Keeps the enrolment with its new binding; called before the binding is shown to anybody. */
  readonly keep: (enrolment: Enrolment) => Promise<void>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Gives the call up. */
  readonly signal?: AbortSignal;
}

/** Outcome of `ensureBinding`. */
export interface EnsuredBinding {
  /** With the binding that is published now. */
  readonly enrolment: Enrolment;
  /** Revision of the VPC that carries the binding; 0 where nothing had to be published. */
  readonly revision: bigint;
}

/**
 * Makes sure that the service holds a binding of this device that is current: signs a new one, or shows the last one
 * again, or does nothing. A new serial is kept on disk before it is used, so that no two bindings ever share one.
 *
 * @throws {RpcError} {StateError}
 */
export async function ensureBinding(
  { keys, client, keep, now, signal }: BindingPublisherOptions,
  enrolment: Enrolment,
  published: PublishedBinding,
): Promise<EnsuredBinding> {
  const nowSeconds = Math.floor(now() / 1000);
  const step = decideBinding(enrolment.binding, published, nowSeconds);
  if (step.kind === 'none') return { enrolment, revision: 0n };
  const serial = step.kind === 'sign' ? step.serial : (enrolment.binding?.serial ?? 1n);
  const notAfterSeconds =
    step.kind === 'sign' || enrolment.binding === undefined
      ? nowSeconds + BINDING_LIFETIME_SECONDS
      : enrolment.binding.notAfterSeconds;
  const { deviceId } = enrolment;
  const { vpcId } = published;
  // Ed25519 signatures are deterministic: the same statement signed again is the same binding.
  const binding = signBinding(
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
  const next = { ...enrolment, binding: { vpcId, serial, notAfterSeconds } };
  if (step.kind === 'sign') await keep(next);
  const { revision } = await client.publishBinding({ binding: wireBinding(binding) }, { signal });
  return { enrolment: next, revision };
}

function wireBinding(binding: PeerBinding) {
  return {
    deviceId: binding.deviceId,
    vpcId: binding.vpcId,
    wireguardPublicKey: Buffer.from(binding.wireGuardKey),
    discoPublicKey: Buffer.from(binding.discoKey),
    serial: binding.serial,
    notAfter: BigInt(binding.notAfterSeconds),
    signature: Buffer.from(binding.signature),
  };
}
