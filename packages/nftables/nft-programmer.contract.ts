import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NftError } from './nft-error.ts';
import type { NftProgrammer } from './nft-programmer.ts';

/** The promises of NftProgrammer, for one adapter. Its tables have no hooks: no packet meets them. Needs root. */
export function nftProgrammerContract(
  name: string,
  create: () => Promise<NftProgrammer> | NftProgrammer,
): void {
  describe(`nftables by ${name}`, () => {
    let programmer: NftProgrammer;
    let table: string;

    beforeEach(async () => {
      programmer = await create();
      table = `inet nexodus_test_${randomBytes(6).toString('hex')}`;
      programmer.apply(
        `table ${table} {\n set s_ports { type inet_service\n counter\n }\n map m_marks { type mark : ipv4_addr\n }\n}\n`,
      );
    });

    afterEach(() => {
      programmer.apply(`add table ${table}\ndelete table ${table}\n`);
      programmer.close();
    });

    test('applies several commands at once', () => {
      programmer.apply(
        `add element ${table} s_ports { 1, 2 }\nadd element ${table} m_marks { 7 : 192.0.2.1 }\n`,
      );
      const shown = programmer.show(`list table ${table}`);
      expect(shown).toMatch(/1 counter packets 0 bytes 0/);
      expect(shown).toMatch(/0x0*7 : 192\.0\.2\.1/);
    });

    test('applies all commands of a text or none', () => {
      const commands = `add element ${table} s_ports { 9 }\ndelete element ${table} s_ports { 10 }\n`;
      expect(() => programmer.apply(commands)).toThrow(NftError);
      expect(programmer.show(`list table ${table}`)).not.toMatch(/\b9\b/);
    });

    test('says why commands were refused, and goes on', () => {
      expect(() => programmer.apply('add nonsense')).toThrow(
        expect.objectContaining({ reason: 'refused', message: expect.stringMatching(/nonsense/) }),
      );
      expect(() => programmer.apply(`add element inet nexodus_no_such s { 1 }`)).toThrow(NftError);
      programmer.apply(`add element ${table} s_ports { 3 }`);
      expect(programmer.show(`get element ${table} s_ports { 3 }`)).toMatch(/3 counter packets 0/);
    });

    test('answers as JSON', () => {
      programmer.apply(`add element ${table} s_ports { 5 }`);
      expect(programmer.query(`list set ${table} s_ports`)).toMatchObject({
        nftables: [{}, { set: { name: 's_ports', elem: [{ elem: { val: 5 } }] } }],
      });
      expect(() => programmer.query('list table inet nexodus_no_such')).toThrow(NftError);
    });

    test('sees what another programmer changed', async () => {
      const other = await create();
      programmer.apply(`add element ${table} s_ports { 1 }`);
      other.apply(`delete element ${table} s_ports { 1 }\nadd element ${table} s_ports { 2 }\n`);
      expect(programmer.show(`list set ${table} s_ports`)).toMatch(/ 2 counter/);
      programmer.apply(`delete element ${table} s_ports { 2 }\n`);
      expect(other.show(`list set ${table} s_ports`)).not.toMatch(/elements/);
      other.close();
    });

    test('carries out many changes in a row', () => {
      for (let port = 1; port <= (programmer.technology === 'library' ? 1_000 : 20); port += 1) {
        programmer.apply(`add element ${table} s_ports { ${port} }\n`);
        programmer.apply(`delete element ${table} s_ports { ${port} }\n`);
      }
      expect(programmer.show(`list table ${table}`)).not.toMatch(/elements/);
    });
  });
}
