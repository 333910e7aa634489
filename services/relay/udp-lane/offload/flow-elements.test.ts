import { parseIpAddress } from '@nexodus/netip';
import { describe, expect, test } from 'vitest';
import { type Flow, flowElements, renderChange } from './flow-elements.ts';

const at = (address: string, port: number) => ({ address: parseIpAddress(address), port });
const flow = (change: Partial<Flow> = {}): Flow => ({
  sides: [
    { port: 20_000, device: at('192.0.2.1', 1_111) },
    { port: 20_001, device: at('198.51.100.2', 2_222) },
  ],
  isOffloaded: true,
  limit: undefined,
  ...change,
});
const text = (one: Flow): string[] =>
  flowElements(one).map(({ set, key, rest }) => `${set} ${key}${rest}`);

describe('the elements of a session', () => {
  test('that nobody is locked in are none', () => {
    const sides: Flow['sides'] = [
      { port: 20_000, device: undefined },
      { port: 20_001, device: undefined },
    ];
    expect(text(flow({ sides, isOffloaded: false }))).toEqual([]);
  });

  test('that the sockets carry name its locked sources, so that these are held for no strangers', () => {
    const sides: Flow['sides'] = [
      { port: 20_000, device: at('192.0.2.1', 1_111) },
      { port: 20_001, device: at('2001:db8::2', 2_222) },
    ];
    expect(text(flow({ sides, isOffloaded: false }))).toEqual([
      's_kn4 192.0.2.1 . 1111 . 20000',
      's_kn6 2001:db8::2 . 2222 . 20001',
    ]);
  });

  test('that the kernel carries lead from each source to the other', () => {
    const policed = 'limit rate 10000000000 bytes/second burst 1000000000 bytes counter';
    expect(text(flow())).toEqual([
      's_kn4 192.0.2.1 . 1111 . 20000',
      's_kn4 198.51.100.2 . 2222 . 20001',
      'm_da4 0x40004e20 : 198.51.100.2',
      'm_dp4 0x40004e20 : 2222',
      'm_sp4 0x40004e20 : 20001',
      's_po4 0x40004e20',
      `m_fl4 192.0.2.1 . 1111 . 20000 ${policed} : 0x40004e20`,
      'm_da4 0x40004e21 : 192.0.2.1',
      'm_dp4 0x40004e21 : 1111',
      'm_sp4 0x40004e21 : 20000',
      's_po4 0x40004e21',
      `m_fl4 198.51.100.2 . 2222 . 20001 ${policed} : 0x40004e21`,
    ]);
  });

  test('with a limit are held to it, and what is over it is dropped by the kernel', () => {
    const limited = text(flow({ limit: { rateBytesPerSecond: 1_000.5, burstBytes: 65_536 } }));
    expect(limited).toContain('s_li4 192.0.2.1 . 1111 . 20000');
    expect(limited).toContain(
      'm_fl4 192.0.2.1 . 1111 . 20000 limit rate 1001 bytes/second burst 65536 bytes counter : 0x40004e20',
    );
  });

  test('of two families cannot be carried by the kernel', () => {
    const sides: Flow['sides'] = [
      { port: 20_000, device: at('192.0.2.1', 1) },
      { port: 20_001, device: at('2001:db8::2', 2) },
    ];
    expect(() => flowElements(flow({ sides }))).toThrow('one family');
  });
});

describe('a change', () => {
  test('from nothing and back is all elements', () => {
    const elements = flowElements(flow());
    expect(renderChange('inet x', [], elements).split('\n')).toHaveLength(elements.length + 1);
    expect(renderChange('inet x', elements, []).match(/^delete element inet x /gm)).toHaveLength(
      elements.length,
    );
  });

  test('to the same is nothing', () => {
    expect(renderChange('inet x', flowElements(flow()), flowElements(flow()))).toBe('');
  });

  test('of an address takes the old away before it adds the new', () => {
    const moved: Flow['sides'] = [
      { port: 20_000, device: at('192.0.2.1', 9_999) },
      flow().sides[1],
    ];
    const commands = renderChange(
      'inet x',
      flowElements(flow()),
      flowElements(flow({ sides: moved })),
    );
    expect(commands.split('\n')).toEqual([
      'delete element inet x s_kn4 { 192.0.2.1 . 1111 . 20000 }',
      'delete element inet x m_fl4 { 192.0.2.1 . 1111 . 20000 }',
      'delete element inet x m_dp4 { 0x40004e21 }',
      'add element inet x s_kn4 { 192.0.2.1 . 9999 . 20000 }',
      expect.stringContaining('add element inet x m_fl4 { 192.0.2.1 . 9999 . 20000 limit'),
      'add element inet x m_dp4 { 0x40004e21 : 9999 }',
      '',
    ]);
  });
});
