import type { GetStatisticsResponse } from '@nexodus/contracts/relay';
import type { BatchObservableResult, Meter } from '@opentelemetry/api';

/** Makes the instruments that read what the relay does. */
export function observeRelay(meter: Meter, statistics: () => Promise<GetStatisticsResponse>): void {
  const gauge = (name: string, description: string) =>
    meter.createObservableGauge(`nexodus.relay.${name}`, { description });
  const capacity = gauge('capacity', 'Pair sessions that the relay can carry at most.');
  const sessions = gauge('sessions', 'Pair sessions that the relay carries.');
  const attachments = gauge('attachments', 'Devices that are attached to the relay.');
  const clients = gauge('tls.clients', 'Devices that are connected to the TLS lane.');
  const carried = gauge(
    'udp.sessions',
    'Sessions whose data the UDP lane carries, by carrier (kernel or sockets) and the reason for sockets.',
  );
  const bytes = meter.createObservableCounter('nexodus.relay.udp.bytes', {
    description: 'Bytes of UDP payloads that the UDP lane carried, by carrier.',
    unit: 'By',
  });
  const observe = async (result: BatchObservableResult): Promise<void> => {
    const now = await statistics();
    result.observe(capacity, Number(now.capacity));
    result.observe(sessions, Number(now.sessions));
    result.observe(attachments, Number(now.attachments));
    result.observe(clients, Number(now.tlsClients));
    result.observe(carried, Number(now.kernelSessions), { carrier: 'kernel', reason: '' });
    for (const [reason, count] of Object.entries(now.socketSessions)) {
      result.observe(carried, Number(count), { carrier: 'sockets', reason });
    }
    result.observe(bytes, Number(now.kernelBytes), { carrier: 'kernel' });
    result.observe(bytes, Number(now.socketBytes), { carrier: 'sockets' });
  };
  meter.addBatchObservableCallback(observe, [
    capacity,
    sessions,
    attachments,
    clients,
    carried,
    bytes,
  ]);
}
