import type { Clock } from '@nexodus/clock';
import type { Database } from '@nexodus/database';
import { type Adapter, type AdapterPayload, errors } from 'oidc-provider';
import type { RecordSeal } from './record-seal.ts';

/** What the adapter works with. */
export interface AdapterOptions {
  database: Database;
  seal: RecordSeal;
  clock: Clock;
}

interface RecordRow {
  model: string;
  id_hash: Buffer;
  payload: Buffer;
  grant_hash: Buffer | null;
  user_code_hash: Buffer | null;
  uid_hash: Buffer | null;
  consumed_at: Date | null;
  expires_at: Date | null;
}

/** Ended records are kept so much longer, so that a person hears "expired" and not "unknown". */
const keptAfterEndMs = 60 * 60_000;

/** Keeps the provider's sessions, grants, codes and tokens in PostgreSQL, so that a restart keeps logins. */
export function createPostgresAdapter(options: AdapterOptions): (model: string) => Adapter {
  return (model) => new PostgresAdapter(model, options);
}

/** Removes what has ended. */
export async function removeEndedRecords({ database, clock }: AdapterOptions): Promise<number> {
  const before = new Date(clock.now() - keptAfterEndMs);
  return database.knex('records').where('expires_at', '<', before).delete();
}

class PostgresAdapter implements Adapter {
  readonly #model: string;
  readonly #options: AdapterOptions;

  constructor(model: string, options: AdapterOptions) {
    this.#model = model;
    this.#options = options;
  }

  async upsert(id: string, payload: AdapterPayload, expiresInSeconds?: number): Promise<void> {
    const { database, seal, clock } = this.#options;
    const idHash = seal.hash('id', id);
    const hashOf = (kind: string, value: string | undefined): Buffer | null =>
      value === undefined ? null : seal.hash(kind, value);
    const row = {
      payload: seal.seal(JSON.stringify(payload), this.#place(idHash)),
      grant_hash: hashOf('grant', payload.grantId),
      user_code_hash: hashOf('user-code', payload.userCode),
      uid_hash: hashOf('uid', payload.uid),
      expires_at:
        expiresInSeconds === undefined ? null : new Date(clock.now() + expiresInSeconds * 1_000),
    };
    await database
      .knex('records')
      .insert({ model: this.#model, id_hash: idHash, ...row })
      .onConflict(['model', 'id_hash'])
      .merge(row);
  }

  find(id: string): Promise<AdapterPayload | undefined> {
    return this.#findBy('id_hash', this.#options.seal.hash('id', id));
  }

  findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    return this.#findBy('user_code_hash', this.#options.seal.hash('user-code', userCode));
  }

  findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#findBy('uid_hash', this.#options.seal.hash('uid', uid));
  }

  /** One consumer wins: a second one of the same code or token is refused, also when both come at once. */
  async consume(id: string): Promise<void> {
    const { database, seal, clock } = this.#options;
    const consumed = await database
      .knex('records')
      .where({ model: this.#model, id_hash: seal.hash('id', id), consumed_at: null })
      .update({ consumed_at: new Date(clock.now()) });
    if (consumed === 0) throw new errors.InvalidGrant('already used');
  }

  async destroy(id: string): Promise<void> {
    const { database, seal } = this.#options;
    await database
      .knex('records')
      .where({ model: this.#model, id_hash: seal.hash('id', id) })
      .delete();
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    const { database, seal } = this.#options;
    await database
      .knex('records')
      .where({ grant_hash: seal.hash('grant', grantId) })
      .delete();
  }

  async #findBy(
    column: 'id_hash' | 'user_code_hash' | 'uid_hash',
    hash: Buffer,
  ): Promise<AdapterPayload | undefined> {
    const { database, seal } = this.#options;
    const row = await database
      .knex<RecordRow>('records')
      .where({ model: this.#model, [column]: hash })
      .first();
    if (row === undefined) return undefined;
    // Written by `upsert`, and sealed since.
    const payload = JSON.parse(seal.open(row.payload, this.#place(row.id_hash))) as AdapterPayload;
    if (row.consumed_at === null) return payload;
    return { ...payload, consumed: Math.floor(row.consumed_at.getTime() / 1_000) };
  }

  #place(idHash: Buffer): string {
    return `${this.#model}\0${idHash.toString('hex')}`;
  }
}
