import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findMirror, imaginaryStatus, parseRelease } from './apt.ts';
import { applyDebianCache, cacheFolder } from './debian.ts';
import { installFingerprint, isSameTree, lacksOnlyUnresolvable, remedyFor } from './install.mjs';
import { withLock } from './lock.mjs';
import { fingerprint, folderFingerprint, isCurrent, writeStamp } from './stamp.mjs';

interface LockEntry {
  readonly version: string;
  readonly integrity?: string;
}

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nexodus set-up '));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a stamp', () => {
  test('is current only for the value it was written with', () => {
    const stamp = join(folder, 'deep', '.stamp');
    expect(isCurrent(stamp, 'a')).toBe(false);
    writeStamp(stamp, 'a');
    expect(isCurrent(stamp, 'a')).toBe(true);
    expect(isCurrent(stamp, 'b')).toBe(false);
  });

  test('tells apart parts that are the same when joined', () => {
    expect(fingerprint(['ab', 'c'])).not.toBe(fingerprint(['a', 'bc']));
    expect(fingerprint(['a'])).not.toBe(fingerprint(['a', '']));
  });

  test('changes with the content, the name and the number of the files it covers, and with nothing else', () => {
    const at = (...names: string[]) => join(folder, ...names);
    mkdirSync(at('v1'));
    writeFileSync(at('v1', 'a.proto'), 'one');
    const first = folderFingerprint(folder, '.proto');
    writeFileSync(at('v1', 'notes.txt'), 'not a contract');
    expect(folderFingerprint(folder, '.proto')).toBe(first);
    writeFileSync(at('v1', 'a.proto'), 'two');
    const edited = folderFingerprint(folder, '.proto');
    expect(edited).not.toBe(first);
    writeFileSync(at('v1', 'b.proto'), '');
    expect(folderFingerprint(folder, '.proto')).not.toBe(edited);
  });

  test('treats a folder that does not exist as empty', () => {
    expect(folderFingerprint(join(folder, 'none'), '.proto')).toBe(fingerprint([]));
  });
});

describe('the installed tree', () => {
  const wanted = {
    packages: {
      '': { version: '0.1.0' },
      'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
      'node_modules/other-system': { version: '1.0.0', integrity: 'sha512-o', optional: true },
    },
  };

  test.each<{ name: string; installed: Record<string, LockEntry>; same: boolean }>([
    {
      name: 'the same packages',
      installed: { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } },
      same: true,
    },
    {
      name: 'another version',
      installed: { 'node_modules/a': { version: '1.0.1', integrity: 'sha512-a' } },
      same: false,
    },
    {
      name: 'another content',
      installed: { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-x' } },
      same: false,
    },
    { name: 'a missing package', installed: {}, same: false },
    {
      name: 'a package too many',
      installed: {
        'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
        'node_modules/b': { version: '1.0.0' },
      },
      same: false,
    },
  ])('with $name counts as current: $same', ({ installed, same }) => {
    expect(isSameTree(wanted, { packages: installed })).toBe(same);
  });

  test('is stamped with the content of the lock file', () => {
    expect(installFingerprint('{}')).toBe(installFingerprint('{}'));
    expect(installFingerprint('{}')).not.toBe(installFingerprint('{} '));
  });
});

describe('an npm that fails', () => {
  test.each([
    [
      'npm error Missing: @x/darwin@ from lock file\nnpm error Missing: @x/win@ from lock file',
      true,
    ],
    ['npm error Missing: @x/darwin@1.2.3 from lock file', false],
    [
      'npm error Missing: @x/darwin@ from lock file\nnpm error Invalid: lock file a@1 does not satisfy a@2',
      false,
    ],
    ['npm error network', false],
  ])(
    'is asked again without the lock check only if nothing could be resolved: %j',
    (output, expected) => {
      expect(lacksOnlyUnresolvable(output)).toBe(expected);
    },
  );

  test.each([
    ['EACCES: permission denied', /writable/],
    ['ENOSPC: no space left', /disk is full/],
    ['getaddrinfo EAI_AGAIN registry', /network/],
    ['SELF_SIGNED_CERT_IN_CHAIN', /NODE_EXTRA_CA_CERTS/],
    ['code EUSAGE', /package-lock/],
    ['something new', /lines above/],
  ])('leads to a remedy: %s', (output, remedy) => {
    expect(remedyFor(output)).toMatch(remedy);
  });
});

describe('the lock between set-ups', () => {
  test('lets one in at a time', async () => {
    const path = join(folder, 'x.lock');
    let inside = 0;
    let most = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside -= 1;
    };
    await Promise.all([withLock(path, work), withLock(path, work), withLock(path, work)]);
    expect(most).toBe(1);
  });

  test('is taken over from a process that died', async () => {
    const path = join(folder, 'x.lock');
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    writeFileSync(path, String(dead));
    await expect(withLock(path, () => 'done')).resolves.toBe('done');
  });

  test('is released when the work fails', async () => {
    const path = join(folder, 'x.lock');
    await expect(withLock(path, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(withLock(path, () => 'done')).resolves.toBe('done');
  });
});

describe('the private apt', () => {
  test('reads which Debian this is', () => {
    const text =
      'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n';
    expect(parseRelease(text)).toEqual({ id: 'debian', codename: 'bookworm' });
    expect(parseRelease('')).toEqual({ id: '', codename: '' });
  });

  test.each([
    {
      name: 'the mirror of the machine',
      uris: "'http://mirror.example/debian/dists/bookworm/InRelease' x 0 \n",
      mirror: 'http://mirror.example/debian',
    },
    {
      name: 'no archive of another vendor, though its suite has the same name',
      uris: "'https://vendor.example/linux/debian/dists/bookworm/InRelease' x 0 \n",
      mirror: 'http://deb.debian.org/debian',
    },
    { name: "Debian's own, without sources", uris: '', mirror: 'http://deb.debian.org/debian' },
  ])('uses $name', ({ uris, mirror }) => {
    expect(findMirror(uris, 'bookworm')).toBe(mirror);
  });

  test('imagines a machine with the basis of Debian and nothing else that is installed', () => {
    const machine = [
      'Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\nDepends: libgcc-s1\nDescription: C\n more',
      'Package: nats-server\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.9',
      'Package: libgcc-s1\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 12',
    ].join('\n\n');
    const status = imaginaryStatus(machine, 'amd64');
    expect(status).toContain(
      'Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\n',
    );
    expect(status).not.toMatch(/nats-server|Depends|libgcc-s1|Description/);
    expect(status).toContain('Package: systemd\n');
  });
});

describe('the Debian cache', () => {
  const cache = {
    binDir: '/c/bin',
    kernel: { release: '6', image: '/c/vmlinuz', modulesDir: '/c/modules' },
  };

  test('stands first in PATH, once, and adds the folders of system tools at the end', () => {
    const environment: NodeJS.ProcessEnv = { PATH: '/usr/bin:/c/bin:/sbin' };
    applyDebianCache(cache, environment);
    applyDebianCache(cache, environment);
    expect(environment['PATH']).toBe('/c/bin:/usr/bin:/sbin:/usr/sbin');
    expect(environment['NEXODUS_TEST_KERNEL_IMAGE']).toBe('/c/vmlinuz');
  });

  test('lies where NEXODUS_CACHE_DIR says', () => {
    expect(cacheFolder({ NEXODUS_CACHE_DIR: '/var/cache/x' })).toBe('/var/cache/x');
    expect(cacheFolder({})).toMatch(/\/\.cache$/);
  });
});
