import { ManualClock } from '@nexodus/clock';
import { BINDING_METHOD, decodeStunMessage, encodeStunMessage } from '@nexodus/stun-codec';
import { fuzzRuns } from '@nexodus/fuzzing';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { StunExchange, type StunReply } from './stun-exchange.ts';
import { createFakeSocket, success } from './stun-socket.fixture.ts';

const server = { address: '192.0.2.1', port: 3_478 };
const outside = { address: '203.0.113.1', port: 9 };

function start() {
  const clock = new ManualClock();
  const socket = createFakeSocket();
  const sent: Uint8Array[] = [];
  const exchange = new StunExchange({ ...socket, send: (bytes) => void sent.push(bytes) }, clock);
  const onReply = vi.fn<(reply: StunReply) => void>();
  return { clock, socket, sent, exchange, onReply };
}

test('a repeated request is one: its first reply counts, from wherever it comes', () => {
  const { clock, socket, sent, exchange, onReply } = start();
  const transaction = exchange.begin(server, onReply);
  transaction.send();
  clock.advance(250);
  transaction.send();
  clock.advance(30);
  const [first, second] = sent.map((bytes) => decodeStunMessage(bytes));
  expect(first).toEqual(second);
  const answer = encodeStunMessage(
    success(decodeStunMessage(sent[0] ?? new Uint8Array()), outside),
  );
  socket.bring(answer, server);
  socket.bring(answer, server);
  expect(onReply).toHaveBeenCalledTimes(1);
  expect(onReply).toHaveBeenCalledWith({
    kind: 'success',
    from: server,
    mapped: outside,
    other: undefined,
    roundTripMs: 30,
  });
});

test('a request that comes back by itself, and one that is refused, are told as that', () => {
  const { socket, sent, exchange, onReply } = start();
  exchange.begin(server, onReply).send();
  exchange.begin(server, onReply, { changesAddress: true, changesPort: false }).send();
  const refused = decodeStunMessage(sent[1] ?? new Uint8Array());
  expect(refused.attributes).toEqual([
    { kind: 'change-request', changesAddress: true, changesPort: false },
  ]);
  socket.bring(sent[0] ?? new Uint8Array(), outside);
  const error = { kind: 'error-code', code: 420, reason: 'no' } as const;
  socket.bring(
    encodeStunMessage({ ...refused, class: 'error', method: BINDING_METHOD, attributes: [error] }),
    server,
  );
  expect(onReply.mock.calls.map(([{ kind }]) => kind)).toEqual(['own', 'refused']);
});

test('nothing is told of other transactions, of what was forgotten, and after the end', () => {
  const { socket, sent, exchange, onReply } = start();
  const transaction = exchange.begin(server, onReply);
  transaction.send();
  const request = decodeStunMessage(sent[0] ?? new Uint8Array());
  const other = success({ ...request, transactionId: new Uint8Array(12) }, outside);
  socket.bring(encodeStunMessage(other), server);
  transaction.forget();
  const answer = encodeStunMessage(success(request, outside));
  socket.bring(answer, server);
  exchange.begin(server, onReply).send();
  exchange.close();
  const late = success(decodeStunMessage(sent[1] ?? new Uint8Array()), outside);
  socket.bring(encodeStunMessage(late), server);
  expect(onReply).not.toHaveBeenCalled();
});

test('no datagram makes it throw, and none of another transaction passes for a reply', () => {
  const { socket, sent, exchange, onReply } = start();
  exchange.begin(server, onReply).send();
  const request = sent[0] ?? new Uint8Array();
  const flip = (from: number, to: number) =>
    fc
      .tuple(fc.integer({ min: from, max: to - 1 }), fc.integer({ min: 1, max: 255 }))
      .map(([at, bits]) => request.map((byte, index) => (index === at ? byte ^ bits : byte)));
  const addresses = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('fe80::1%eth0'));
  const foreign = fc.oneof(fc.uint8Array(), flip(TRANSACTION_ID.from, TRANSACTION_ID.to));
  const law = fc.property(foreign, addresses, (bytes, address) => {
    socket.bring(bytes, { address, port: 1 });
    expect(onReply).not.toHaveBeenCalled();
  });
  fc.assert(law, { numRuns: fuzzRuns(2_000) });
  const damaged = fc.property(flip(0, request.length), addresses, (bytes, address) => {
    socket.bring(bytes, { address, port: 1 });
  });
  fc.assert(damaged, { numRuns: fuzzRuns(2_000) });
});

/** Its bytes in a message (RFC 8489 section 5). */
const TRANSACTION_ID = { from: 8, to: 20 };
