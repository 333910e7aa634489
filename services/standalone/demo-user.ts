import type { DataDirectory } from './data-directory.ts';
import type { Account, AccountStore } from './issuer/account-store.ts';
import { generatePassword } from './issuer/password.ts';

/** E-mail address of the person whom a first start makes. It receives no mail. */
export const demoEmail = 'demo@nexodus.local';

const passwordFile = 'demo-password';

/** The demo user, and how its password is to be had. */
export interface DemoUser {
  account: Account;
  /** What to tell people of the password. */
  password: { kind: 'new'; text: string } | { kind: 'file'; path: string } | { kind: 'shown' };
}

/** How a secret is given to people: on their terminal, or, where there is none, in files that only they can read. */
export interface Disclosure {
  directory: DataDirectory;
  isTerminal: boolean;
}

/**
 * Makes the demo user with a random password, or finds it. The password is kept as a hash only; where nobody looks at a
 * terminal it is in a file as well.
 *
 * @param isReset gives it a new password
 */
export async function ensureDemoUser(
  accounts: AccountStore,
  disclosure: Disclosure,
  isReset: boolean,
): Promise<DemoUser> {
  const known = await accounts.findByEmail(demoEmail);
  if (known !== undefined && !isReset)
    return { account: known, password: storedPassword(disclosure) };
  const text = generatePassword();
  // Before the hash: a password that nobody can read must not be in force.
  if (!disclosure.isTerminal) await disclosure.directory.write(passwordFile, `${text}\n`);
  else await disclosure.directory.remove(passwordFile);
  if (known !== undefined) await accounts.setPassword(known.subject, text);
  const account = known ?? (await accounts.create({ email: demoEmail, displayName: 'Demo' }, text));
  const password = disclosure.isTerminal
    ? { kind: 'new' as const, text }
    : storedPassword(disclosure);
  return { account, password };
}

function storedPassword({ directory }: Disclosure): DemoUser['password'] {
  if (directory.read(passwordFile) === undefined) return { kind: 'shown' };
  return { kind: 'file', path: directory.file(passwordFile) };
}
