import type { Migration } from '@nexodus/database';

const tables = `
CREATE TABLE users (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  issuer text NOT NULL,
  subject text NOT NULL,
  email text NOT NULL,
  email_verified boolean NOT NULL,
  display_name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (issuer, subject)
);

CREATE TABLE organizations (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),
  ula_prefix cidr NOT NULL UNIQUE CHECK (family(ula_prefix) = 6 AND masklen(ula_prefix) = 48),
  -- What the first start made, whatever became of its service account.
  bootstrap boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX organizations_bootstrap ON organizations (bootstrap) WHERE bootstrap;

CREATE TABLE memberships (
  organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'auditor')),
  PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE vpcs (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  organization_id uuid NOT NULL REFERENCES organizations,
  name text NOT NULL CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9]){0,1}$'),
  description text NOT NULL,
  ipv4_prefix cidr NOT NULL CHECK (family(ipv4_prefix) = 4),
  ipv6_prefix cidr NOT NULL CHECK (family(ipv6_prefix) = 6),
  is_default boolean NOT NULL,
  revision bigint NOT NULL DEFAULT 0,
  log_incarnation uuid NOT NULL DEFAULT gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (organization_id, name)
);
CREATE UNIQUE INDEX vpcs_default ON vpcs (organization_id) WHERE is_default;

CREATE TABLE security_groups (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  vpc_id uuid NOT NULL REFERENCES vpcs ON DELETE CASCADE,
  name text NOT NULL,
  is_default boolean NOT NULL,
  rules jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (vpc_id, name),
  UNIQUE (vpc_id, id)
);
CREATE UNIQUE INDEX security_groups_default ON security_groups (vpc_id) WHERE is_default;

CREATE TABLE registration_keys (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  organization_id uuid NOT NULL REFERENCES organizations,
  vpc_id uuid NOT NULL REFERENCES vpcs ON DELETE CASCADE,
  description text NOT NULL,
  prefix text NOT NULL,
  hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
  max_uses integer NOT NULL CHECK (max_uses >= 0),
  uses integer NOT NULL DEFAULT 0 CHECK (max_uses = 0 OR uses <= max_uses),
  ephemeral boolean NOT NULL,
  security_group_ids uuid[] NOT NULL,
  tags text[] NOT NULL,
  owner_user_id uuid REFERENCES users,
  expires_at timestamptz NOT NULL,
  deleted_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX registration_keys_by_organization ON registration_keys (organization_id, id);

CREATE TABLE devices (
  id uuid PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organizations,
  vpc_id uuid NOT NULL REFERENCES vpcs,
  hostname text NOT NULL CHECK (hostname ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9]){0,1}$'),
  os text NOT NULL,
  device_public_key bytea NOT NULL UNIQUE CHECK (length(device_public_key) = 32),
  wireguard_public_key bytea NOT NULL UNIQUE CHECK (length(wireguard_public_key) = 32),
  disco_public_key bytea NOT NULL UNIQUE CHECK (length(disco_public_key) = 32),
  ipv4_address inet NOT NULL,
  ipv6_address inet NOT NULL,
  tags text[] NOT NULL,
  owner_user_id uuid REFERENCES users,
  registration_key_id uuid REFERENCES registration_keys,
  ephemeral boolean NOT NULL,
  binding bytea,
  binding_serial bigint NOT NULL DEFAULT 0,
  session_epoch bigint NOT NULL DEFAULT 0,
  applied_revision bigint NOT NULL DEFAULT 0,
  last_seen_at timestamptz,
  expires_at timestamptz NOT NULL,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (vpc_id, hostname),
  UNIQUE (vpc_id, ipv4_address),
  UNIQUE (vpc_id, ipv6_address),
  UNIQUE (vpc_id, id)
);
CREATE INDEX devices_by_organization ON devices (organization_id, id);
CREATE INDEX devices_ephemeral ON devices (last_seen_at) WHERE ephemeral;

CREATE TABLE device_security_groups (
  vpc_id uuid NOT NULL,
  device_id uuid NOT NULL,
  security_group_id uuid NOT NULL,
  PRIMARY KEY (device_id, security_group_id),
  FOREIGN KEY (vpc_id, device_id) REFERENCES devices (vpc_id, id) ON DELETE CASCADE,
  FOREIGN KEY (vpc_id, security_group_id) REFERENCES security_groups (vpc_id, id)
);

-- Keys of deleted devices: they never enrol again.
CREATE TABLE retired_keys (
  public_key bytea PRIMARY KEY,
  retired_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE service_accounts (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  organization_id uuid NOT NULL REFERENCES organizations,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 63),
  role text NOT NULL CHECK (role IN ('admin', 'member', 'auditor')),
  public_key bytea NOT NULL UNIQUE CHECK (length(public_key) = 32),
  disabled boolean NOT NULL DEFAULT false,
  bootstrap boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (organization_id, name)
);

-- One row for each revision of a VPC: the letterbox that every replica reads from its own cursor.
CREATE TABLE vpc_changes (
  vpc_id uuid NOT NULL REFERENCES vpcs ON DELETE CASCADE,
  revision bigint NOT NULL,
  -- nexodus.event.v1.VpcChange
  change bytea NOT NULL,
  traceparent text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (vpc_id, revision)
);
CREATE INDEX vpc_changes_by_age ON vpc_changes (created_at);

CREATE TABLE audit_records (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  organization_id uuid,
  at timestamptz NOT NULL DEFAULT now(),
  actor_kind text NOT NULL,
  actor_id text NOT NULL,
  action text NOT NULL,
  resource_kind text NOT NULL,
  resource_id text NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('done', 'refused')),
  source text NOT NULL,
  trace_id text NOT NULL
);
CREATE INDEX audit_records_by_organization ON audit_records (organization_id, id);

-- What must be said to ipam once a transaction stands, in order.
CREATE TABLE ipam_outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pool_id uuid NOT NULL,
  owner_id uuid,
  -- A request of nexodus.ipam.v1, by kind.
  kind text NOT NULL CHECK (kind IN ('create-pool', 'confirm', 'release', 'delete-pool')),
  request bytea NOT NULL,
  traceparent text NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  run_after timestamptz NOT NULL DEFAULT now(),
  -- Set for an order that ipam will never take: it is kept for people to look at, and holds up no other.
  failed_at timestamptz
);
CREATE INDEX ipam_outbox_by_pool ON ipam_outbox (pool_id, id);

CREATE TABLE idempotent_answers (
  actor_id text NOT NULL,
  method text NOT NULL,
  request_id uuid NOT NULL,
  request_hash bytea NOT NULL,
  response bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (actor_id, method, request_id)
);
CREATE INDEX idempotent_answers_by_age ON idempotent_answers (created_at);

-- Identifiers of proofs, assertions and nonces that were used, in six partitions that take turns by the minute in
-- which they may be forgotten: forgetting truncates a partition.
CREATE TABLE used_tokens (
  slot smallint NOT NULL,
  minute bigint NOT NULL,
  token_hash bytea NOT NULL,
  PRIMARY KEY (slot, minute, token_hash)
) PARTITION BY LIST (slot);
CREATE TABLE used_tokens_0 PARTITION OF used_tokens FOR VALUES IN (0);
CREATE TABLE used_tokens_1 PARTITION OF used_tokens FOR VALUES IN (1);
CREATE TABLE used_tokens_2 PARTITION OF used_tokens FOR VALUES IN (2);
CREATE TABLE used_tokens_3 PARTITION OF used_tokens FOR VALUES IN (3);
CREATE TABLE used_tokens_4 PARTITION OF used_tokens FOR VALUES IN (4);
CREATE TABLE used_tokens_5 PARTITION OF used_tokens FOR VALUES IN (5);
`;

/**
 * The first schema of the apiserver. Ids are UUIDv7, so that the order of ids is the order of creation and a page of a
 * list is a range of ids.
 */
export const initialSchema: Migration = {
  name: '0001-initial',
  up: (knex) => knex.raw(tables),
};
