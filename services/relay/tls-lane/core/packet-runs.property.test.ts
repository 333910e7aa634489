import { FrameReader, frameType } from '@nexodus/derp';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PacketRuns, packetBytes, type PacketRun } from './packet-runs.ts';

const source = new Uint8Array(32).fill(0xaa);
const destinations = [1, 2, 3].map((value) => Buffer.alloc(32, value));

function frameTo(destination: Uint8Array, packet: Uint8Array, type: number): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(type);
  header.writeUInt32BE(32 + packet.length, 1);
  return Buffer.concat([header, destination, packet]);
}

/** The runs of a stream that comes in two pieces. */
function runsOf(stream: Buffer, cutAt: number): PacketRun[] {
  const reader = new FrameReader(1_000);
  const runs = new PacketRuns(source);
  return [stream.subarray(0, cutAt), stream.subarray(cutAt)].flatMap((chunk) => {
    const found: (PacketRun | undefined)[] = [];
    reader.push(new Uint8Array(chunk));
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      found.push(runs.add(frame));
    }
    found.push(runs.finish());
    return found.filter((run) => run !== undefined);
  });
}

const packets = fc.array(
  fc.record({
    to: fc.constantFrom(...destinations),
    packet: fc.uint8Array({ maxLength: 40 }),
  }),
  { maxLength: 20 },
);

test('each destination gets its packets in order, with the key of the sender in place of its own', () => {
  fc.assert(
    fc.property(packets, fc.nat(), (sent, place) => {
      const stream = Buffer.concat(
        sent.map(({ to, packet }) => frameTo(to, packet, frameType.sendPacket)),
      );
      const runs = runsOf(stream, place % (stream.length + 1));
      for (const destination of destinations) {
        const own = runs.filter((run) => run.destination === destination.toString('latin1'));
        const expected = sent
          .filter(({ to }) => to === destination)
          .map(({ packet }) => frameTo(source, packet, frameType.receivePacket));
        const got = own.map(({ bytes, start, end }) => Buffer.from(bytes.subarray(start, end)));
        expect(Buffer.concat(got)).toEqual(Buffer.concat(expected));
        expect(own.reduce((sum, run) => sum + run.packets, 0)).toBe(expected.length);
        const bytes = expected.reduce((sum, frame) => sum + frame.length - 37, 0);
        expect(own.reduce((sum, run) => sum + packetBytes(run), 0)).toBe(bytes);
      }
    }),
  );
});

test('frames for one destination that come together are one run', () => {
  const [one, other] = destinations as [Buffer, Buffer];
  const frames = [one, one, other, one].map((to) =>
    frameTo(to, Buffer.from('x'), frameType.sendPacket),
  );
  const runs = runsOf(Buffer.concat(frames), 0);
  expect(runs.map((run) => run.packets)).toEqual([2, 1, 1]);
});
