import type { GetStatisticsResponse } from '@nexodus/contracts/relay';
import type { Capacity } from './core/capacity.ts';
import type { RelaySessions } from './sessions/relay-sessions.ts';

/** What the relay does and has done, as relay.proto tells it. */
export async function relayStatistics(
  { hub, tlsLane, udpLane }: RelaySessions,
  { capacity, sessions }: Capacity,
): Promise<GetStatisticsResponse> {
  const udp = await udpLane.statistics();
  const tls = tlsLane.statistics();
  const { kernel = 0, ...bySockets } = udp?.carriedBy ?? {};
  const socketSessions = Object.entries(bySockets).map(
    ([reason, count]) => [reason, BigInt(count)] as const,
  );
  return {
    capacity: BigInt(capacity),
    sessions: BigInt(sessions),
    attachments: BigInt(hub.counts.attachments),
    tlsClients: BigInt(tls.clients),
    udpTechnology: udpLane.technology ?? '',
    udpTechnologyReason: udpLane.technologyReason ?? '',
    kernelSessions: BigInt(kernel),
    socketSessions: Object.fromEntries(socketSessions),
    kernelBytes: BigInt(udp?.carriedBytes.kernel ?? 0),
    socketBytes: BigInt(udp?.carriedBytes.sockets ?? 0),
    tlsBytes: BigInt(tls.forwardedBytes),
  };
}
