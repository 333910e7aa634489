import { expect, test } from 'vitest';
import { createNftProgrammer } from './create-nft-programmer.ts';
import { nftProgrammerContract } from './nft-programmer.contract.ts';
import { preloadLibnftables } from './testing.ts';

preloadLibnftables();
nftProgrammerContract('its library', () => createNftProgrammer({ technology: 'library' }));
nftProgrammerContract('its command', () => createNftProgrammer({ technology: 'command' }));

test('where the library is missing the command takes over, and where both are it is said', async () => {
  const library = 'libnftables-that-is-not-there.so';
  const programmer = await createNftProgrammer({ library });
  expect(programmer.technology).toBe('command');
  const command = ['nft-that-is-not-there'];
  await expect(createNftProgrammer({ library, command })).rejects.toMatchObject({
    reason: 'unavailable',
  });
  await expect(createNftProgrammer({ library, technology: 'library' })).rejects.toMatchObject({
    reason: 'unavailable',
  });
});

test('left to choose, the library does it', async () => {
  const programmer = await createNftProgrammer();
  expect(programmer.technology).toBe('library');
  programmer.close();
  expect(() => programmer.apply('list tables')).toThrow('closed');
});
