import { describe, expect, test } from 'vitest';
import { parsePingLine } from './ping-output.ts';

describe('parsePingLine', () => {
  test.each([
    [
      '64 bytes from 10.77.0.11: icmp_seq=4 ttl=64 time=0.045 ms',
      { kind: 'reply', sequence: 4, rttMs: 0.045, isDuplicate: false },
    ],
    [
      '64 bytes from fd77::b: icmp_seq=12 ttl=64 time=201 ms (DUP!)',
      { kind: 'reply', sequence: 12, rttMs: 201, isDuplicate: true },
    ],
    ['no answer yet for icmp_seq=3', { kind: 'outstanding', sequence: 3 }],
    [
      '5 packets transmitted, 3 received, 40% packet loss, time 810ms',
      { kind: 'summary', sent: 5 },
    ],
    [
      '2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1ms',
      { kind: 'summary', sent: 2 },
    ],
    ['From 10.77.0.10 icmp_seq=1 Destination Host Unreachable', undefined],
    ['PING 10.77.0.11 (10.77.0.11) 56(84) bytes of data.', undefined],
    ['', undefined],
  ])('reads %j', (line, event) => {
    expect(parsePingLine(line)).toEqual(event);
  });
});
