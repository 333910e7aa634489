import { formatIpAddress, type IpAddress } from '@nexodus/netip';
import { MARK_BASE } from './ruleset.ts';

/** A side of a session as the kernel is to know it. */
export interface FlowSide {
  /** The relay's port of this side. */
  readonly port: number;
  /** Where its device is; undefined while it is not locked. */
  readonly device: { readonly address: IpAddress; readonly port: number } | undefined;
}

/** A session as the kernel is to know it. */
export interface Flow {
  readonly sides: readonly [FlowSide, FlowSide];
  /** Whether the kernel is to carry its data. It must be locked on both sides, in one family. */
  readonly isOffloaded: boolean;
  /** Bytes per second in each direction, and at once; undefined for no limit. */
  readonly limit: { readonly rateBytesPerSecond: number; readonly burstBytes: number } | undefined;
}

/** An element of the table: its set or map, its key, and what follows the key when it is added. */
export interface FlowElement {
  readonly set: string;
  readonly key: string;
  readonly rest: string;
}

/**
 * What the kernel takes for no limit: every element of a map has the same kinds of statements, and a rate times 10^9
 * must fit into 64 bits.
 */
const NO_LIMIT = { rateBytesPerSecond: 10_000_000_000, burstBytes: 1_000_000_000 };

/** The mark of packets that arrived at a port of the lane and were rewritten. */
export function markOf(port: number): number {
  return MARK_BASE | port;
}

/** The elements that a session has in the table. */
export function flowElements(flow: Flow): FlowElement[] {
  const [first, second] = flow.sides;
  const known = flow.sides.flatMap((side) =>
    side.device === undefined ? [] : [element('s_kn', side.device.address.family, sourceKey(side))],
  );
  if (!flow.isOffloaded) return known;
  return [
    ...known,
    ...directionElements(first, second, flow.limit),
    ...directionElements(second, first, flow.limit),
  ];
}

/** Commands that turn one list of elements into another, to be applied as one transaction; empty for no change. */
export function renderChange(
  table: string,
  before: readonly FlowElement[],
  after: readonly FlowElement[],
): string {
  const text = ({ set, key, rest }: FlowElement): string => `${set} { ${key}${rest} }`;
  const kept = new Set(after.map(text));
  const present = new Set(before.map(text));
  return [
    ...before
      .filter((one) => !kept.has(text(one)))
      .map(({ set, key }) => `delete element ${table} ${set} { ${key} }\n`),
    ...after
      .filter((one) => !present.has(text(one)))
      .map((one) => `add element ${table} ${text(one)}\n`),
  ].join('');
}

/** The key of a locked source in the sets of sources: its address, its port, and the port at which it arrives. */
export function sourceKey({ port, device }: FlowSide): string {
  if (device === undefined) throw new RangeError('a side that is not locked has no source');
  return `${formatIpAddress(device.address)} . ${device.port} . ${port}`;
}

function directionElements(from: FlowSide, to: FlowSide, limit: Flow['limit']): FlowElement[] {
  const { device } = to;
  if (device === undefined || from.device?.address.family !== device.address.family) {
    throw new RangeError('a flow is carried between two sources of one family');
  }
  const { family } = device.address;
  const mark = `0x${markOf(from.port).toString(16)}`;
  const { rateBytesPerSecond, burstBytes } = limit ?? NO_LIMIT;
  const policed = ` limit rate ${Math.ceil(rateBytesPerSecond)} bytes/second burst ${Math.ceil(burstBytes)} bytes counter`;
  return [
    element('m_da', family, mark, ` : ${formatIpAddress(device.address)}`),
    element('m_dp', family, mark, ` : ${device.port}`),
    element('m_sp', family, mark, ` : ${to.port}`),
    element('s_po', family, mark),
    ...(limit === undefined ? [] : [element('s_li', family, sourceKey(from))]),
    element('m_fl', family, sourceKey(from), `${policed} : ${mark}`),
  ];
}

function element(name: string, family: 4 | 6, key: string, rest = ''): FlowElement {
  return { set: `${name}${family}`, key, rest };
}
