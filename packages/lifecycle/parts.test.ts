import { expect, test } from 'vitest';
import { type Part, runParts, startParts } from './parts.ts';

function recorder(
  events: string[],
  name: string,
  fails: 'start' | 'stop' | 'never' = 'never',
): Part {
  const act = (verb: 'start' | 'stop') => async (): Promise<void> => {
    events.push(`${verb} ${name}`);
    if (fails === verb) throw new Error(`${name} cannot ${verb}`);
  };
  return { name, start: act('start'), stop: act('stop') };
}

test('parts start in order and stop in the opposite order', async () => {
  const events: string[] = [];
  const running = await startParts([recorder(events, 'a'), recorder(events, 'b')]);
  await running.stop();
  expect(events).toEqual(['start a', 'start b', 'stop b', 'stop a']);
});

test('a part that does not start stops those before it and its error is thrown', async () => {
  const events: string[] = [];
  const starting = startParts([
    recorder(events, 'a'),
    recorder(events, 'b', 'start'),
    recorder(events, 'c'),
  ]);
  await expect(starting).rejects.toThrow('b cannot start');
  expect(events).toEqual(['start a', 'start b', 'stop a']);
});

test('a part that does not stop keeps no other from stopping', async () => {
  const events: string[] = [];
  const running = await startParts([recorder(events, 'a'), recorder(events, 'b', 'stop')]);
  await expect(running.stop()).rejects.toThrow('b cannot stop');
  expect(events.at(-1)).toBe('stop a');
});

test('stopping twice stops once', async () => {
  const events: string[] = [];
  const running = await startParts([recorder(events, 'a')]);
  await Promise.all([running.stop(), running.stop()]);
  expect(events).toEqual(['start a', 'stop a']);
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  'parts that %s reaches while they start are stopped and never called ready',
  async (signal) => {
    const events: string[] = [];
    const asking = { ...recorder(events, 'a'), start: async () => void process.emit(signal) };
    await runParts([asking, recorder(events, 'b')], { ready: () => events.push('ready') });
    expect(events).toEqual(['start b', 'stop b', 'stop a']);
  },
);
