import { z } from 'zod';
import { unreadable } from '../dataplane-error.ts';
import type { FirewallDrops } from '../firewall.ts';
import { canonicalCidr } from './cidr.ts';
import type { FirewallPlan } from './device-plan.ts';
import { FIREWALL_SETS } from './firewall-ruleset.ts';

/** A table as `nft -j list table` shows it. */
export interface FirewallListing {
  readonly plan: FirewallPlan;
  readonly drops: FirewallDrops;
  /**
   * A text that is equal for two listings exactly when their chains, rules, sets and counters are, whatever elements
   * and counts they hold.
   */
  readonly rules: string;
}

const listingSchema = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });
const setSchema = z.object({ name: z.string(), elem: z.array(z.unknown()).default([]) });
const counterSchema = z.object({ name: z.string(), packets: z.number() });
const prefixSchema = z.object({ prefix: z.object({ addr: z.string(), len: z.number() }) });
const objectSchema = z.record(z.string(), z.unknown());

/** Fields of nft's JSON that change without anybody changing the rules. */
const VOLATILE_FIELDS: ReadonlySet<string> = new Set(['handle', 'elem', 'packets', 'bytes']);

/** Reads `nft -j list table inet ...` (libnftables-json(5)). Throws only DataplaneError(`unreadable-output`). */
export function parseFirewallListing(text: string): FirewallListing {
  const sets = new Map<string, string[]>();
  const packets = new Map<string, number>();
  const rules: unknown[] = [];
  for (const entry of parseEntries(text)) {
    const set = setSchema.safeParse(entry['set']);
    const counter = counterSchema.safeParse(entry['counter']);
    if (set.success) sets.set(set.data.name, set.data.elem.map(parseElement));
    if (counter.success) packets.set(counter.data.name, counter.data.packets);
    if (!('metainfo' in entry)) rules.push(withoutVolatile(entry));
  }
  const elements = (names: { readonly v4: string; readonly v6: string }) => [
    ...(sets.get(names.v4) ?? []),
    ...(sets.get(names.v6) ?? []),
  ];
  return {
    plan: {
      ownAddresses: elements(FIREWALL_SETS.ownAddresses),
      peerAddresses: elements(FIREWALL_SETS.peerAddresses),
      peerPrefixes: elements(FIREWALL_SETS.peerPrefixes),
    },
    drops: {
      inputPackets: packets.get('dropped_input') ?? 0,
      outputPackets: packets.get('dropped_output') ?? 0,
      forwardPackets: packets.get('dropped_forward') ?? 0,
      strayPackets: packets.get('dropped_stray') ?? 0,
    },
    rules: JSON.stringify(rules),
  };
}

function parseEntries(text: string): Record<string, unknown>[] {
  try {
    return listingSchema.parse(JSON.parse(text)).nftables;
  } catch (cause) {
    throw unreadable('nft', 'no listing in JSON', { cause });
  }
}

/** An element in canonical form; what only a foreign hand can have put there keeps its JSON text, equal to no prefix. */
function parseElement(element: unknown): string {
  const parsed = prefixSchema.safeParse(element);
  const text = parsed.success
    ? `${parsed.data.prefix.addr}/${parsed.data.prefix.len}`
    : String(element);
  return canonicalCidr(text) ?? JSON.stringify(element);
}

function withoutVolatile(entry: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(entry).map(([kind, value]) => {
      const object = objectSchema.safeParse(value);
      if (!object.success) return [kind, value];
      const kept = Object.entries(object.data).filter(([field]) => !VOLATILE_FIELDS.has(field));
      return [kind, Object.fromEntries(kept)];
    }),
  );
}
