import { systemClock } from '@nexodus/clock';
import { type DatabaseConnection, openDatabase } from '@nexodus/database';

/** What ipam keeps of a pool, as its tables say. */
export interface AddressUse {
  /** Who holds addresses, by owner: IPv4 and IPv6. */
  readonly holdings: ReadonlyMap<string, readonly [string, string]>;
  /** Addresses that were released and are not given to others yet, with the owner that had each last. */
  readonly quarantined: readonly { readonly address: string; readonly lastOwnerId: string }[];
}

/** Reads it from ipam's schema. */
export async function readAddressUse(
  connection: DatabaseConnection,
  poolId: string,
): Promise<AddressUse> {
  const database = openDatabase({
    connection,
    schema: 'ipam',
    role: 'ipam',
    applicationName: 'lab',
    clock: systemClock,
    random: Math.random,
    poolMax: 1,
  });
  try {
    const { rows: holdings } = await database.knex.raw<Rows<'owner_id' | 'ipv4' | 'ipv6'>>(
      'SELECT owner_id, host(ipv4) AS ipv4, host(ipv6) AS ipv6 FROM holdings WHERE pool_id = ?',
      [poolId],
    );
    const { rows: quarantines } = await database.knex.raw<Rows<'owner_id' | 'address'>>(
      'SELECT last_owner_id AS owner_id, host(address) AS address FROM quarantines WHERE pool_id = ?',
      [poolId],
    );
    return {
      holdings: new Map(holdings.map((row) => [row.owner_id, [row.ipv4, row.ipv6] as const])),
      quarantined: quarantines.map((row) => ({ address: row.address, lastOwnerId: row.owner_id })),
    };
  } finally {
    await database.close();
  }
}

/** What a query answers whose columns are all text. */
interface Rows<Column extends string> {
  rows: Record<Column, string>[];
}
