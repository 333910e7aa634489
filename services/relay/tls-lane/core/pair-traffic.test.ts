import { WireGuardPrivateKey } from '@nexodus/wireguard';
import { expect, test } from 'vitest';
import { PairTrafficTable } from './pair-traffic.ts';

const [one, other] = [1, 2].map(
  (value) => WireGuardPrivateKey.fromBytes(new Uint8Array(32).fill(value)).publicKey,
);

test('the directions of a pair are counted apart, and begin anew when they were taken', () => {
  if (one === undefined || other === undefined) throw new Error('no keys');
  const table = new PairTrafficTable();
  const there = { from: one, fromText: 'one', to: other, toText: 'other' };
  const back = { from: other, fromText: 'other', to: one, toText: 'one' };
  table.count(there, { packets: 2, bytes: 20 });
  table.count(back, { packets: 1, bytes: 5 });
  table.count(there, { packets: 1, bytes: 10 });
  expect(table.take()).toEqual([
    { from: one, to: other, packets: 3, bytes: 30 },
    { from: other, to: one, packets: 1, bytes: 5 },
  ]);
  table.count(back, { packets: 1, bytes: 7 });
  expect(table.take()).toEqual([{ from: other, to: one, packets: 1, bytes: 7 }]);
  expect(table.take()).toEqual([]);
});
