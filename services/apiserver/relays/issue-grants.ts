import { randomUUID } from 'node:crypto';
import type { Clock } from '@nexodus/clock';
import type { IssueRelayGrantsRequest, IssueRelayGrantsResponse } from '@nexodus/contracts/agent';
import type { GrantedDevice, GrantPayload, SignedGrant } from '@nexodus/contracts/relay';
import type { Ed25519PrivateKey } from '@nexodus/device-identity';
import { signGrant } from '@nexodus/relay-grant';
import { type FieldViolation, invalidArgument, RpcError, Status, unavailable } from '@nexodus/rpc';
import { grantedDevice } from '../core/relays/grant-standing.ts';
import type { VpcViews } from '../core/network-map/vpc-views.ts';
import { isRelayId } from '../core/network-map/whereabouts.ts';
import { isUuid } from '../core/uuid.ts';
import { Bell } from '../network-map/bell.ts';
import type { VpcTracker } from '../network-map/vpc-tracker.ts';

/** What issuing needs. */
export interface GrantIssuerOptions {
  readonly followVpc: (vpcId: string) => Promise<VpcTracker>;
  readonly key: Ed25519PrivateKey<'relay-grant'>;
  readonly clock: Clock;
  /** How long a device may use its last view without the service. */
  readonly leaseSeconds: number;
}

/** Bounds of a request (agent.proto). */
const MAX_PEERS = 100;
const MAX_RELAYS = 8;

/** Longest life of a grant. */
const MAX_LIFE_SECONDS = 3_600;

/** How long a device waits for policy's answer about its VPC on this replica. */
const COMPILE_WAIT_MS = 2_000;

/** An answer that changes no view rings nothing, so it is looked for as well. */
const RECHECK_MS = 50;

/**
 * Gives a device its pass and the pairs that policy allows it now.
 *
 * @throws {RpcError} INVALID_ARGUMENT; UNAVAILABLE until policy has answered for the VPC; FAILED_PRECONDITION with
 *   reason BINDING_MISSING before the device published its binding
 */
export async function issueGrants(
  options: GrantIssuerOptions,
  device: { readonly id: string; readonly vpcId: string },
  request: IssueRelayGrantsRequest,
): Promise<IssueRelayGrantsResponse> {
  checkRequest(request);
  const tracker = await options.followVpc(device.vpcId);
  const views = await currentViews(tracker, options.clock);
  const self = grantedDevice(device.id, views);
  if (self === undefined) {
    throw new RpcError(Status.FAILED_PRECONDITION, 'publish a binding first', {
      reason: 'BINDING_MISSING',
    });
  }
  const give = (devices: GrantedDevice[]): SignedGrant =>
    signGrant(payloadOf(options, { views, devices, relayIds: request.relayIds }), options.key);
  const peers = [...new Set(request.peerDeviceIds)]
    .filter((id) => id !== device.id && views.sees(device.id, id))
    .flatMap((id) => grantedDevice(id, views) ?? []);
  return { pass: give([self]), pairs: peers.map((peer) => give(inOrder(self, peer))) };
}

function checkRequest({ peerDeviceIds, relayIds }: IssueRelayGrantsRequest): void {
  const violations: FieldViolation[] = [];
  const check = (field: string, isWrong: boolean, description: string): void => {
    if (isWrong) violations.push({ field, description });
  };
  check('peer_device_ids', peerDeviceIds.length > MAX_PEERS, `has more than ${MAX_PEERS} peers`);
  check('peer_device_ids', !peerDeviceIds.every(isUuid), 'holds what is not a UUID');
  const isCount = relayIds.length >= 1 && relayIds.length <= MAX_RELAYS;
  check('relay_ids', !isCount, `names 1 to ${MAX_RELAYS} relays`);
  check('relay_ids', !relayIds.every(isRelayId), 'holds what is not the name of a relay');
  if (violations.length > 0) throw invalidArgument(violations);
}

/** The views with all that the log held at the call, or the last that policy answered for, which stay in force. */
async function currentViews(tracker: VpcTracker, clock: Clock): Promise<VpcViews> {
  const bell = new Bell();
  const leave = tracker.observe({ viewsChanged: () => bell.ring() });
  const endMs = clock.monotonicMs() + COMPILE_WAIT_MS;
  try {
    for (;;) {
      const { views } = tracker;
      const leftMs = endMs - clock.monotonicMs();
      if (views !== undefined && (views.pendingCount === 0 || leftMs <= 0)) return views;
      if (leftMs <= 0) throw unavailable('policy has not answered for this VPC yet');
      await bell.wait(clock, Math.min(leftMs, RECHECK_MS));
    }
  } finally {
    leave();
  }
}

function payloadOf(
  { clock, leaseSeconds }: GrantIssuerOptions,
  grant: {
    readonly views: VpcViews;
    readonly devices: GrantedDevice[];
    readonly relayIds: readonly string[];
  },
): GrantPayload {
  const { devices, relayIds, views } = grant;
  const nowSeconds = Math.floor(clock.now() / 1_000);
  const ends = devices.map(({ deviceId }) =>
    Number(views.shownImage(deviceId)?.expireTimeSeconds ?? 0n),
  );
  const notAfter = Math.min(nowSeconds + Math.min(MAX_LIFE_SECONDS, leaseSeconds), ...ends);
  return {
    grantId: randomUUID(),
    organizationId: views.organizationId,
    vpcId: views.vpcId,
    devices,
    relayIds: [...relayIds],
    policyRevision: views.revision,
    notBeforeSeconds: BigInt(nowSeconds),
    notAfterSeconds: BigInt(notAfter),
  };
}

function inOrder(left: GrantedDevice, right: GrantedDevice): GrantedDevice[] {
  return left.deviceId < right.deviceId ? [left, right] : [right, left];
}
