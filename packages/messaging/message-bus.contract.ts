import { eventually } from '@nexodus/clock/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { BusGap, BusMessage, MessageBus } from './message-bus.ts';
import { InvalidSubjectError } from './subject.ts';

/** Two ends of one bus, which may be the same object. */
export interface BusFixture {
  readonly near: MessageBus;
  readonly far: MessageBus;
  readonly stop: () => Promise<void>;
}

const text = (message: BusMessage): string => Buffer.from(message.data).toString();
const bytes = (value: string): Uint8Array => Buffer.from(value);

/** What every message bus promises. */
export function describeMessageBus(name: string, start: () => Promise<BusFixture>): void {
  describe(`${name} as a message bus`, () => {
    let fixture: BusFixture;

    beforeEach(async () => {
      fixture = await start();
    });

    afterEach(() => fixture.stop());

    test('delivers what matches, in order, with headers in lower case', async () => {
      const { near, far } = fixture;
      const seen: string[] = [];
      far.subscribe('vpc.*.changed', (message) => {
        seen.push(`${message.subject} ${text(message)} ${message.headers['x-kind']}`);
      });
      await far.flush();
      near.publish('vpc.1.changed', bytes('a'), { 'X-Kind': 'k' });
      near.publish('vpc.1.other', bytes('b'), { 'X-Kind': 'k' });
      near.publish('vpc.1.2.changed', bytes('c'), { 'X-Kind': 'k' });
      near.publish('vpc.2.changed', bytes('d'), { 'X-Kind': 'k' });
      await eventually(() => seen.length === 2);
      expect(seen).toEqual(['vpc.1.changed a k', 'vpc.2.changed d k']);
    });

    test('gives each message of a queue to one of its members, and to everybody else', async () => {
      const { near, far } = fixture;
      const members: string[] = [];
      const others: string[] = [];
      far.subscribe('work.>', (message) => void members.push(text(message)), { queue: 'q' });
      near.subscribe('work.>', (message) => void members.push(text(message)), { queue: 'q' });
      far.subscribe('work.*', (message) => void others.push(text(message)));
      await Promise.all([near.flush(), far.flush()]);
      const sent = Array.from({ length: 20 }, (_, index) => String(index));
      for (const item of sent) near.publish('work.item', bytes(item));
      await eventually(() => others.length === 20 && members.length >= 20);
      expect(others).toEqual(sent);
      expect(members.toSorted()).toEqual(sent.toSorted());
    });

    test('handles one message at a time, and goes on after a failure', async () => {
      const { near, far } = fixture;
      const log: string[] = [];
      const errors: unknown[] = [];
      const onError = (error: unknown): void => void errors.push(error);
      far.subscribe(
        'step',
        async (message) => {
          log.push(`begin ${text(message)}`);
          await new Promise(setImmediate);
          log.push(`end ${text(message)}`);
          if (text(message) === '1') throw new Error('failed');
        },
        { onError },
      );
      await far.flush();
      near.publish('step', bytes('1'));
      near.publish('step', bytes('2'));
      await eventually(() => log.length === 4);
      expect(log).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2']);
      expect(errors).toEqual([new Error('failed')]);
    });

    test('drops the oldest for a slow subscriber and tells it before the next message', async () => {
      const { near, far } = fixture;
      const release = Promise.withResolvers<void>();
      const log: string[] = [];
      const onGap = (gap: BusGap): void => void log.push(`${gap.reason} ${gap.dropped}`);
      const handler = async (message: BusMessage): Promise<void> => {
        log.push(text(message));
        await release.promise;
      };
      far.subscribe('burst', handler, { pendingMax: 2, onGap });
      await far.flush();
      near.publish('burst', bytes('0'));
      await eventually(() => log.length === 1);
      for (const item of ['1', '2', '3', '4', '5']) near.publish('burst', bytes(item));
      // Another subscription sees the last one only after this one has taken it in.
      const last = Promise.withResolvers<void>();
      far.subscribe('after', () => last.resolve());
      await far.flush();
      near.publish('after', bytes(''));
      await last.promise;
      release.resolve();
      await eventually(() => log.length === 4);
      expect(log).toEqual(['0', 'overflow 3', '4', '5']);
    });

    test('begins no handler after unsubscribe', async () => {
      const { near, far } = fixture;
      const stopped = far.subscribe('news', () => expect.unreachable());
      const seen: string[] = [];
      far.subscribe('news', (message) => void seen.push(text(message)));
      stopped.unsubscribe();
      stopped.unsubscribe();
      await far.flush();
      near.publish('news', bytes('a'));
      await eventually(() => seen.length === 1);
    });

    test('keeps a message as it was when it was published', async () => {
      const { near, far } = fixture;
      const seen: string[] = [];
      far.subscribe('news', (message) => void seen.push(text(message)));
      await far.flush();
      const data = bytes('before');
      near.publish('news', data);
      data.fill(0);
      await eventually(() => seen.length === 1);
      expect(seen).toEqual(['before']);
    });

    test.each(['', 'a..b', '.a', 'a b', 'a.*', '>', 'a\r\nb'])(
      'refuses to publish to %j',
      (subject) => {
        expect(() => fixture.near.publish(subject, bytes(''))).toThrow(InvalidSubjectError);
      },
    );

    test.each(['', 'a..b', '>.a', 'a*', 'a b'])('refuses to subscribe to %j', (pattern) => {
      expect(() => fixture.near.subscribe(pattern, () => {})).toThrow(InvalidSubjectError);
    });

    test('handles what has arrived before it is closed, and drops what comes later', async () => {
      const { near, far } = fixture;
      const seen: string[] = [];
      const statuses: string[] = [];
      near.onStatus((status) => statuses.push(status));
      near.subscribe('news', (message) => void seen.push(text(message)));
      await near.flush();
      near.publish('news', bytes('a'));
      expect(await near.flush()).toBe(true);
      await near.close();
      await near.close();
      expect(seen).toEqual(['a']);
      expect(near.status).toBe('closed');
      expect(statuses).toEqual(['closed']);
      expect(near.publish('news', bytes('b'))).toBe(false);
      expect(near.droppedPublishes).toBe(1);
      expect(await near.flush()).toBe(false);
      near.subscribe('news', () => expect.unreachable()).unsubscribe();
      await far.flush();
    });
  });
}
