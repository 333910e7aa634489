import type { Migration } from '@nexodus/database';

/**
 * The first schema of ipam. The unique constraints are the last word on "no address twice": whatever the program does,
 * a pool cannot have two holders of an address.
 */
export const initialSchema: Migration = {
  name: '0001-initial',
  up: (knex) =>
    knex.raw(`
      CREATE TABLE pools (
        id uuid PRIMARY KEY,
        ipv4_prefix cidr NOT NULL CHECK (family(ipv4_prefix) = 4 AND masklen(ipv4_prefix) <= 29),
        ipv6_prefix cidr NOT NULL CHECK (family(ipv6_prefix) = 6 AND masklen(ipv6_prefix) <= 120),
        next_ipv4 inet NOT NULL CHECK (next_ipv4 << ipv4_prefix AND masklen(next_ipv4) = 32),
        next_ipv6 inet NOT NULL CHECK (next_ipv6 << ipv6_prefix AND masklen(next_ipv6) = 128),
        created_at timestamptz NOT NULL DEFAULT now()
      );

      CREATE TABLE holdings (
        pool_id uuid NOT NULL REFERENCES pools ON DELETE CASCADE,
        owner_id uuid NOT NULL,
        ipv4 inet NOT NULL CHECK (family(ipv4) = 4 AND masklen(ipv4) = 32),
        ipv6 inet NOT NULL CHECK (family(ipv6) = 6 AND masklen(ipv6) = 128),
        confirmed_at timestamptz,
        lease_until timestamptz,
        PRIMARY KEY (pool_id, owner_id),
        CONSTRAINT holdings_ipv4_once UNIQUE (pool_id, ipv4),
        CONSTRAINT holdings_ipv6_once UNIQUE (pool_id, ipv6),
        CHECK (num_nonnulls(confirmed_at, lease_until) = 1)
      );
      CREATE INDEX holdings_leased ON holdings (lease_until) WHERE lease_until IS NOT NULL;

      CREATE TABLE quarantines (
        pool_id uuid NOT NULL REFERENCES pools ON DELETE CASCADE,
        address inet NOT NULL,
        last_owner_id uuid NOT NULL,
        until timestamptz NOT NULL,
        PRIMARY KEY (pool_id, address)
      );
      CREATE INDEX quarantines_ending ON quarantines (until);
    `),
};
