import { RpcError, Status } from '@nexodus/rpc';
import { expect, test } from 'vitest';
import { StreamAdmission } from './stream-admission.ts';

const tooMany = expect.objectContaining({
  code: Status.RESOURCE_EXHAUSTED,
  details: expect.objectContaining({ retryAfterMs: 2_000 }),
});

test('streams beyond the bound are told when to come back, and are taken when others are open', async () => {
  const admission = new StreamAdmission({ maxOpening: 2, maxCallsOfDevice: 1 });
  const gates = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
  const opening = gates.map(({ promise }) => admission.opening(() => promise));
  await expect(admission.opening(() => Promise.resolve(3))).rejects.toEqual(tooMany);
  gates[0]!.resolve(1);
  gates[1]!.reject(new Error('no'));
  expect(await opening[0]).toBe(1);
  await expect(opening[1]).rejects.toThrow('no');
  expect(await admission.opening(() => Promise.resolve(4))).toBe(4);
});

test('a device has only so many calls that have not ended, and others are none the worse', () => {
  const admission = new StreamAdmission({ maxOpening: 1, maxCallsOfDevice: 2 });
  const leave = admission.enter('a');
  admission.enter('a');
  expect(() => admission.enter('a')).toThrow(RpcError);
  admission.enter('b');
  leave();
  admission.enter('a');
  expect(() => admission.enter('a')).toThrow(RpcError);
});
