/** The relay's UDP lane on a virtual host. */
import { preloadLibnftables } from '@nexodus/nftables/testing';
import { RelayRegistrationKey } from '@nexodus/relay-registration';
import { openUdpLane, type UdpLaneOptions, type UdpLaneStatistics } from '@nexodus/relay/testing';
import { parseWireGuardPublicKey } from '@nexodus/wireguard';
import { answerCalls, programConfig } from './answer-calls.ts';

/** How the lane is opened. */
export type UdpLaneConfig = Omit<UdpLaneOptions, 'events' | 'now'>;

/** A device of a session: keys in base64. */
export interface LaneDevice {
  readonly wireGuardKey: string;
  readonly registrationKey: string;
}

preloadLibnftables();
const lane = await openUdpLane({
  ...programConfig<UdpLaneConfig>(),
  now: Date.now,
  events: {
    ended: () => {},
    roamed: () => {},
    offloadFailed: (reason) => void process.stderr.write(`${reason}\n`),
    failed: (error) => {
      throw error;
    },
  },
});

const device = ({ wireGuardKey, registrationKey }: LaneDevice) => ({
  wireGuardKey: parseWireGuardPublicKey(wireGuardKey),
  registrationKey: RelayRegistrationKey.fromBytes(
    new Uint8Array(Buffer.from(registrationKey, 'base64')),
  ),
});

const calls = {
  /** How data is carried here. */
  technology: (): string => lane.technology,
  /** Opens a session; gives an address and port for each side. */
  async open(session: {
    id: number;
    devices: readonly [LaneDevice, LaneDevice];
  }): Promise<[string, string]> {
    const [first, second] = session.devices;
    const place = await lane.open({
      sessionId: BigInt(session.id),
      tenantId: 'bench',
      devices: [device(first), device(second)],
    });
    const [side0, side1] = [place?.[0][0], place?.[1][0]];
    if (side0 === undefined || side1 === undefined) throw new Error('the lane has no place');
    return [side0, side1];
  },
  /** Ends a session. */
  close: (id: number): void => lane.close(BigInt(id)),
  statistics: (): Promise<UdpLaneStatistics> => lane.statistics(),
};

/** What a UDP lane can be asked. */
export type UdpLaneCalls = typeof calls;

await answerCalls(calls, () => lane.stop());
