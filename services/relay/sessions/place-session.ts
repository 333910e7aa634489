import { wireGuardPublicKeyFromBytes } from '@nexodus/wireguard';
import type { UseLimits } from '../core/lane-use.ts';
import type { UdpLane } from '../udp-lane/udp-lane.ts';
import type { PairSession } from './pair-sessions.ts';

/** Gives a session a place in the UDP lane, or renews what the lane carries of it. */
export function placeSession(
  udpLane: Pick<UdpLane, 'open'>,
  { grant, keys, sessionId }: Pick<PairSession, 'grant' | 'keys' | 'sessionId'>,
  limits: UseLimits,
): PairSession['place'] {
  const { devices, notAfterSeconds, organizationId } = grant;
  const [first, second] = devices;
  if (first === undefined || second === undefined) throw new Error('a pair names two devices');
  return udpLane.open({
    sessionId,
    tenantId: organizationId,
    devices: [
      {
        wireGuardKey: wireGuardPublicKeyFromBytes(first.wireguardPublicKey),
        registrationKey: keys[0],
      },
      {
        wireGuardKey: wireGuardPublicKeyFromBytes(second.wireguardPublicKey),
        registrationKey: keys[1],
      },
    ],
    notAfterAt: Number(notAfterSeconds) * 1_000,
    ...limits,
  });
}
