import type { Database } from '@nexodus/database';
import { hashPassword, verifyPassword } from './password.ts';

/** A person who logs in at the embedded issuer. */
export interface Account {
  /** What tokens call the person; never changes. */
  subject: string;
  email: string;
  displayName: string;
}

/** The people the embedded issuer knows. */
export interface AccountStore {
  findByEmail(email: string): Promise<Account | undefined>;
  findBySubject(subject: string): Promise<Account | undefined>;
  /** Makes an account. */
  create(account: Omit<Account, 'subject'>, password: string): Promise<Account>;
  /** Replaces the password. */
  setPassword(subject: string, password: string): Promise<void>;
  /** The account of this e-mail address if the password is its own; takes as long when there is none. */
  authenticate(email: string, password: string): Promise<Account | undefined>;
}

interface AccountRow {
  subject: string;
  email: string;
  display_name: string;
  password_hash: string;
}

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Accounts on the issuer's schema. */
export function createAccountStore(database: Database): AccountStore {
  const accounts = () => database.knex<AccountRow>('accounts');
  const rowByEmail = (email: string) =>
    accounts().whereRaw('lower(email) = lower(?)', [email]).first();
  const nobody = hashPassword('');
  // Awaited where it is used; a failure must not end the process before.
  nobody.catch(() => {});
  return {
    findByEmail: async (email) => accountOf(await rowByEmail(email)),
    findBySubject: async (subject) =>
      uuidForm.test(subject) ? accountOf(await accounts().where({ subject }).first()) : undefined,
    create: async ({ email, displayName }, password) => {
      const [row] = await accounts()
        .insert({ email, display_name: displayName, password_hash: await hashPassword(password) })
        .returning('*');
      const account = accountOf(row);
      if (account === undefined) throw new Error('PostgreSQL returned no row for an insert');
      return account;
    },
    setPassword: async (subject, password) => {
      await accounts()
        .where({ subject })
        .update({ password_hash: await hashPassword(password) });
    },
    authenticate: async (email, password) => {
      const row = await rowByEmail(email);
      const fits = await verifyPassword(password, row?.password_hash ?? (await nobody));
      return fits && row !== undefined ? accountOf(row) : undefined;
    },
  };
}

function accountOf(row: AccountRow | undefined): Account | undefined {
  if (row === undefined) return undefined;
  return { subject: row.subject, email: row.email, displayName: row.display_name };
}
