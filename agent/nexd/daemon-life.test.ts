import { expect, test } from 'vitest';
import { createDaemonLife } from './daemon-life.ts';

/** Work that ends when the test says. */
function start() {
  const outer = new AbortController();
  const life = createDaemonLife(outer.signal);
  const events: string[] = [];
  const work = Promise.withResolvers<void>();
  const run = life
    .run(() => work.promise)
    .then(
      () => events.push('ended'),
      (error: Error) => events.push(error.message),
    );
  return { outer, life, events, work, run };
}

test('going down ends the work, and removes only when it has settled', async () => {
  const { life, events, work, run } = start();
  const down = life.goDown(async () => void events.push('removed'));
  expect(life.signal.aborted).toBe(true);
  await Promise.resolve();
  expect(events).toEqual([]);
  work.reject(new Error('given up'));
  await down;
  await run;
  expect(events).toEqual(['removed', 'ended']);
});

test('the daemon lives until what it made is removed', async () => {
  const { life, events, work, run } = start();
  const removing = Promise.withResolvers<void>();
  const down = life.goDown(() => removing.promise);
  work.resolve();
  await Promise.resolve();
  expect(events).toEqual([]);
  removing.resolve();
  await Promise.all([down, run]);
  expect(events).toEqual(['ended']);
});

test('a removal that fails is told to both', async () => {
  const { life, events, work, run } = start();
  const down = life.goDown(() => Promise.reject(new Error('not ours')));
  work.resolve();
  await expect(down).rejects.toThrow('not ours');
  await run;
  expect(events).toEqual(['not ours']);
});

test('an error of the work counts while nobody ended it', async () => {
  const failing = start();
  failing.work.reject(new Error('no network'));
  await failing.run;
  expect(failing.events).toEqual(['no network']);
  const ended = start();
  ended.outer.abort();
  ended.work.reject(new Error('given up'));
  await ended.run;
  expect(ended.events).toEqual(['ended']);
  expect(ended.life.isGoingDown).toBe(false);
});
