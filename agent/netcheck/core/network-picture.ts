/** What of a machine's network must change before what was learnt of it holds no longer. */
import type { IpInterface } from '../../dataplane/core/ip-output.ts';
import { type OwnAddresses, selectOwnAddresses, type OwnAddressQuestion } from './own-addresses.ts';

/** The machine's network at one moment, the tunnel aside. */
export interface NetworkPicture {
  readonly interfaces: readonly IpInterface[];
  readonly own: OwnAddresses;
  /** Equal texts: the same network. */
  readonly fingerprint: string;
}

/** Draws it from readings; `defaultRoutes` are those of both families. Never throws. */
export function drawNetwork(
  question: OwnAddressQuestion,
  defaultRoutes: readonly string[],
): NetworkPicture {
  const own = selectOwnAddresses(question);
  const addresses = own.usable.map(({ interfaceName, address }) => `${interfaceName} ${address}`);
  const fingerprint = [...addresses.toSorted(), '', ...defaultRoutes].join('\n');
  return { interfaces: question.interfaces, own, fingerprint };
}
