import type { PeerEntry, SelfEntry } from '@nexodus/contracts/agent';
import { decodeEntry } from './view-entry.ts';

/** What a device learns from its view. */
export interface DecodedView {
  /** Absent: the view does not say who the device is, and nothing of it may be put in force. */
  readonly self: SelfEntry | undefined;
  /** The peers, by device id. */
  readonly peers: ReadonlyMap<string, PeerEntry>;
  /** Keys of entries that say nothing sensible, for the report to the service. */
  readonly malformedKeys: readonly string[];
}

/** Reads all entries of a view. Never throws; entries of unknown kinds are left out. */
export function decodeView(entries: ReadonlyMap<string, Uint8Array>): DecodedView {
  let self: SelfEntry | undefined;
  const peers = new Map<string, PeerEntry>();
  const malformedKeys: string[] = [];
  for (const [key, value] of entries) {
    const entry = decodeEntry(key, value);
    if (entry.kind === 'self') self = entry.self;
    else if (entry.kind === 'peer') peers.set(entry.peer.deviceId, entry.peer);
    else if (entry.kind === 'malformed') malformedKeys.push(key);
  }
  return { self, peers, malformedKeys };
}
