import { ManualClock } from '@nexodus/clock';
import { expect, test } from 'vitest';
import { createAnonymousLimit, createBindingLimit } from './call-limit.ts';

function countsUntilRefused(count: (call: number) => void): number {
  for (let call = 0; ; call += 1) {
    try {
      count(call);
    } catch {
      return call;
    }
  }
}

test('all addresses of an IPv6 /64 are one source; an IPv4 address is one however it is written', () => {
  const limit = createAnonymousLimit(new ManualClock());
  expect(countsUntilRefused((call) => limit.count(`2001:db8:0:1::${call.toString(16)}`))).toBe(300);
  limit.count('2001:db8:0:2::1');
  expect(countsUntilRefused(() => limit.count('192.0.2.1'))).toBe(300);
  limit.count('192.0.2.2');
  limit.count('unix:');
});

test('who proves its identity is not limited', () => {
  const limit = createAnonymousLimit(new ManualClock());
  for (let call = 0; call < 1_000; call += 1) {
    limit.count('192.0.2.1');
    limit.giveBack('192.0.2.1');
  }
});

test('a device publishes 30 bindings in a minute', () => {
  const clock = new ManualClock();
  const limit = createBindingLimit(clock);
  expect(countsUntilRefused(() => limit.count('a'))).toBe(30);
  clock.advance(60_000);
  limit.count('a');
});
