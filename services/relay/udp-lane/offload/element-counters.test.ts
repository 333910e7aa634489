import { expect, test } from 'vitest';
import { parseElementCounters } from './element-counters.ts';

test('counters are read by their keys, as nft 1.0.6 prints them', () => {
  const printed = `table inet nexodus_relay_20000 {
	map m_fl4 {
		type ipv4_addr . inet_service . inet_service : mark
		size 40001
		elements = { 1.2.3.4 . 5 . 20001 limit rate 9765625 kbytes/second burst 256 kbytes counter packets 3 bytes 4321 : 0x40004e21,
			     10.0.0.1 . 51820 . 20000 limit rate 1 mbytes/second counter packets 0 bytes 0 : 0x40004e20 }
	}
	set s_po4 {
		elements = { 0x40004e21 counter packets 12 bytes 99, 0x00000021 counter packets 1 bytes 2 }
	}
	map m_fl6 {
		elements = { 2001:db8::5 . 5 . 20001 limit rate 1 mbytes/second burst 5 kbytes counter packets 7 bytes 8 : 0x40004e21 }
	}
}`;
  expect([...parseElementCounters(printed)]).toEqual([
    ['1.2.3.4 . 5 . 20001', { packets: 3, bytes: 4_321 }],
    ['10.0.0.1 . 51820 . 20000', { packets: 0, bytes: 0 }],
    ['0x40004e21', { packets: 12, bytes: 99 }],
    ['0x21', { packets: 1, bytes: 2 }],
    ['2001:db8::5 . 5 . 20001', { packets: 7, bytes: 8 }],
  ]);
});

test('text without elements has no counters', () => {
  expect(parseElementCounters('table inet x {\n\tset s {\n\t}\n}').size).toBe(0);
});
