import type { Migration } from '@nexodus/database';

const tables = `
CREATE TABLE accounts (
  subject uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email text NOT NULL,
  display_name text NOT NULL,
  password_hash text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX accounts_by_email ON accounts (lower(email));

-- What the provider keeps: sessions, grants, codes, tokens. Names are hashed and contents sealed, so that the database
-- alone opens nothing.
CREATE TABLE records (
  model text NOT NULL,
  id_hash bytea NOT NULL,
  payload bytea NOT NULL,
  grant_hash bytea,
  user_code_hash bytea,
  uid_hash bytea,
  consumed_at timestamptz,
  expires_at timestamptz,
  PRIMARY KEY (model, id_hash)
);
CREATE INDEX records_by_grant ON records (grant_hash) WHERE grant_hash IS NOT NULL;
CREATE UNIQUE INDEX records_by_user_code ON records (model, user_code_hash) WHERE user_code_hash IS NOT NULL;
CREATE INDEX records_by_uid ON records (model, uid_hash) WHERE uid_hash IS NOT NULL;
CREATE INDEX records_by_end ON records (expires_at);
`;

/** The first schema of the embedded issuer. */
export const initialSchema: Migration = {
  name: '0001-initial',
  up: (knex) => knex.raw(tables),
};
