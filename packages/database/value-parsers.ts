import type { Knex } from 'knex';
import pg from 'pg';

/** Object ids of PostgreSQL's types (`pg_type.dat`). */
const INT8_OID = 20;
const INT8_ARRAY_OID = 1016;

/**
 * How one connection turns columns into values: as `pg` does, except that `bigint` columns, `count(*)` among them, are
 * bigint. A revision beyond 2^53 stays exact, and a column has one type whatever its value.
 *
 * It is handed to each connection; the parsers that `pg` keeps for the whole process stay as they are.
 */
export const valueParsers: Knex.PgCustomTypesConfig = {
  getTypeParser: (oid, format) => {
    const isBinary = format === 'binary';
    const parse: (value: string) => unknown = pg.types.getTypeParser(
      oid,
      isBinary ? 'binary' : 'text',
    );
    if (isBinary) return parse;
    if (oid === INT8_OID) return (value: string) => BigInt(value);
    if (oid === INT8_ARRAY_OID) return (value: string) => toBigints(parse(value));
    return parse;
  },
};

function toBigints(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toBigints);
  return typeof value === 'string' ? BigInt(value) : value;
}
