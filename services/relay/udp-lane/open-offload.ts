import { networkInterfaces } from 'node:os';
import { isIPv6 } from 'node:net';
import { parseIpAddress } from '@nexodus/netip';
import type { NftProgrammer } from '@nexodus/nftables';
import type { SessionTable } from '../core/session-table.ts';
import type { LaneData } from './lane-messages.ts';
import type { LaneOffload } from './lane-program.ts';
import { ForwardingSwitch } from './offload/forwarding-switch.ts';
import { NftOffload } from './offload/nft-offload.ts';
import { OffloadKeeper } from './offload-keeper.ts';

/** An offload that may have been opened. */
export interface OffloadAttempt {
  readonly open: (table: SessionTable, onFailed: (reason: string) => void) => LaneOffload;
  /** Leaves the machine as it was. */
  readonly close: () => void;
}

/**
 * Prepares the kernel's part of a lane. What an earlier lane of the same ports and state file left after a sudden end is
 * taken back first. Never throws: a lane without offload carries everything itself.
 */
export function prepareOffload(data: LaneData, programmer: NftProgrammer | Error): OffloadAttempt {
  const table = `inet nexodus_relay_${data.ports.first}`;
  let opened: NftOffload | undefined;
  return {
    open: (sessions, onFailed) => {
      try {
        opened = start(data, programmer, table);
      } catch (error) {
        return without(error instanceof Error ? error.message : String(error));
      }
      if (opened === undefined) return without('not wanted');
      const { ipv4, ipv6 } = opened.reasons;
      const addresses = data.addresses.map(parseIpAddress);
      const keeper = new OffloadKeeper({ offload: opened, table: sessions, addresses, onFailed });
      const used = opened;
      return {
        keeper,
        reason: [ipv4, ipv6].filter((reason) => reason !== undefined).join('; ') || undefined,
        prefiltered: () => used.prefiltered(),
      };
    },
    close: () => {
      opened?.close();
      if (!(programmer instanceof Error)) programmer.close();
    },
  };
}

function without(reason: string): LaneOffload {
  return { keeper: undefined, reason, prefiltered: () => ({ junk: 0, rate: 0 }) };
}

function start(
  { addresses, offload, ports }: LaneData,
  programmer: NftProgrammer | Error,
  table: string,
): NftOffload | undefined {
  if (offload === undefined) return undefined;
  const forwarding = new ForwardingSwitch(offload.stateFile);
  if (programmer instanceof Error) {
    forwarding.restore();
    throw programmer;
  }
  const interfaces = offload.interfaces ?? interfacesOf(addresses);
  try {
    return NftOffload.start({
      programmer,
      forwarding,
      interfaces,
      table,
      ports,
      ipv4: addresses.find((address) => !isIPv6(address)),
      ipv6: addresses.find((address) => isIPv6(address)),
    });
  } catch (error) {
    forwarding.restore();
    throw error;
  }
}

/** Interfaces that have one of the addresses. */
function interfacesOf(addresses: readonly string[]): string[] {
  return Object.entries(networkInterfaces())
    .filter(([, own]) => own?.some(({ address }) => addresses.includes(address)))
    .map(([name]) => name);
}
