import packet from 'dns-packet';
import type { RecordType } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { answerQuery } from './answer-query.ts';
import { createNameZone } from './name-zone.ts';

const zone = createNameZone('Default', [
  { hostname: 'alpha', addresses: ['100.64.0.7', 'fd00::7/128'] },
  { hostname: 'v4only', addresses: ['100.64.0.8'] },
  { hostname: 'not a label', addresses: ['100.64.0.9'] },
]);

function query(name: string, type: RecordType, id = 7): Buffer {
  return packet.encode({ type: 'query', id, flags: 0x0100, questions: [{ name, type }] });
}

function ask(name: string, type: RecordType) {
  const response = answerQuery(zone, query(name, type));
  const decoded = packet.decode(Buffer.from(response ?? []));
  const data = (decoded.answers ?? []).map((answer) => ('data' in answer ? answer.data : null));
  return { id: decoded.id, rcode: (decoded.flags ?? 0) & 0x0f, data };
}

const reverseV6 = '7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa';

describe('answerQuery', () => {
  test.each<[string, RecordType, number, string[]]>([
    ['alpha.default.nexodus', 'A', 0, ['100.64.0.7']],
    ['alpha.default.nexodus', 'AAAA', 0, ['fd00::7']],
    ['ALPHA.Default.Nexodus', 'A', 0, ['100.64.0.7']],
    ['v4only.default.nexodus', 'AAAA', 0, []],
    ['alpha.default.nexodus', 'MX', 0, []],
    ['7.0.64.100.in-addr.arpa', 'PTR', 0, ['alpha.default.nexodus']],
    [reverseV6, 'PTR', 0, ['alpha.default.nexodus']],
    ['default.nexodus', 'A', 0, []],
    ['nexodus', 'A', 0, []],
    ['hidden.default.nexodus', 'A', 3, []],
    ['alpha.other.nexodus', 'A', 3, []],
    ['example.org', 'A', 5, []],
    ['notnexodus', 'A', 5, []],
    ['9.0.64.100.in-addr.arpa', 'PTR', 5, []],
    ['.', 'A', 5, []],
  ])('%s %s gets response code %i and %j', (name, type, rcode, data) => {
    expect(ask(name, type)).toEqual({ id: 7, rcode, data });
  });

  test('refuses everything while there is no zone', () => {
    const response = answerQuery(null, query('alpha.default.nexodus', 'A'));
    expect((response?.[3] ?? 0) & 0x0f).toBe(5);
  });

  test('answers no response, so that two servers cannot keep each other busy', () => {
    const response = answerQuery(zone, query('alpha.default.nexodus', 'A'));
    expect(answerQuery(zone, response ?? new Uint8Array())).toBeNull();
  });

  test('answers other operations with NOTIMP and two questions with FORMERR', () => {
    const notify = query('alpha.default.nexodus', 'A');
    notify.writeUInt16BE(0x2000, 2);
    expect((answerQuery(zone, notify)?.[3] ?? 0) & 0x0f).toBe(4);
    const question = { name: 'alpha.default.nexodus', type: 'A' } as const;
    const two = packet.encode({ type: 'query', id: 1, questions: [question, question] });
    expect((answerQuery(zone, two)?.[3] ?? 0) & 0x0f).toBe(1);
  });

  test('survives any bytes, and every answer is a response to the same id', () => {
    const valid = query('alpha.default.nexodus', 'A');
    const spliced = fc
      .tuple(fc.nat(valid.length), fc.uint8Array({ maxLength: 8 }))
      .map(([at, bytes]) => Buffer.concat([valid.subarray(0, at), bytes, valid.subarray(at + 1)]));
    const messages = fc.oneof(fc.uint8Array({ maxLength: 600 }), spliced);
    fc.assert(
      fc.property(messages, (message) => {
        const response = answerQuery(zone, message);
        if (response === null) return;
        expect([...response.subarray(0, 2)]).toEqual([...message.subarray(0, 2)]);
        expect((response[2] ?? 0) & 0x80).toBe(0x80);
      }),
      { numRuns: 5000 },
    );
  });
});

test('a VPC whose name is no label has no zone', () => {
  expect(createNameZone('two words', [])).toBeNull();
});
