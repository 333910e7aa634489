import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bootstrap, BootstrapResult } from '@nexodus/apiserver';
import { expect, test } from 'vitest';
import { ensureBootstrapAccount } from './bootstrap-account.ts';
import { openDataDirectory } from './data-directory.ts';

test('a start goes on without the bootstrap account once that was deleted', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nexodus-account-'));
  const directory = await openDataDirectory(folder);
  let made: BootstrapResult | undefined;
  const bootstrap: Bootstrap = {
    find: () => Promise.resolve(made),
    ensure: () =>
      Promise.resolve(
        (made ??= {
          organizationId: 'o',
          vpcId: 'v',
          serviceAccountId: 'a',
          isServiceAccountEnabled: true,
        }),
      ),
    renameIssuer: () => Promise.resolve(),
  };
  const options = {
    apiserver: { bootstrap },
    directory,
    owner: { issuer: 'i', subject: 's', email: 'e', displayName: 'd' },
    serviceUrl: 'https://nexodus.test:7443',
    caPem: '',
  };
  expect(await ensureBootstrapAccount(options)).toMatchObject({ id: 'a', isEnabled: true });
  made = {
    organizationId: 'o',
    vpcId: 'v',
    serviceAccountId: undefined,
    isServiceAccountEnabled: false,
  };
  expect(await ensureBootstrapAccount(options)).toEqual({
    id: undefined,
    vpcId: 'v',
    isEnabled: false,
    credentials: undefined,
  });
  directory.release();
  rmSync(folder, { recursive: true });
});
