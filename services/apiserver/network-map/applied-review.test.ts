import { ManualClock } from '@nexodus/clock';
import type { Logger } from '@nexodus/telemetry';
import { ViewDigest } from '@nexodus/network-map';
import { describe, expect, test, vi } from 'vitest';
import { AppliedReview } from './applied-review.ts';

const RIGHT = ViewDigest.of([['self', Buffer.from('right')]]);
const WRONG = ViewDigest.of([['self', Buffer.from('wrong')]]);

function setUp() {
  const clock = new ManualClock();
  const warn = vi.fn<Logger['warn']>();
  const review = new AppliedReview({ vpcId: 'vpc', deviceId: 'device', clock, logger: { warn } });
  const differs = (revision: bigint, digest = WRONG, viewsAt = revision): boolean =>
    review.differs(
      { revision, viewDigest: Buffer.from(digest.toBytes()), problem: '' },
      { revision: viewsAt, digestOf: () => RIGHT },
    );
  return { clock, differs, review, warn };
}

describe('what a device says of its view', () => {
  test('another digest at a revision that it was told is a difference, the same is none', () => {
    const { differs, review, warn } = setUp();
    review.told(3n, 'delta');
    expect(differs(3n)).toBe(true);
    expect(warn.mock.calls[0]?.[0]).toMatchObject({ device_id: 'device', revision: '3' });
    const other = setUp();
    other.review.told(3n, 'bookmark');
    expect(other.differs(3n, RIGHT)).toBe(false);
    expect(other.warn).not.toHaveBeenCalled();
  });

  test('nothing is compared where the device may not have heard all yet', () => {
    const { differs, review } = setUp();
    review.told(3n, 'delta');
    expect(differs(3n, WRONG, 4n)).toBe(false);
    review.told(3n, 'delta');
    expect(differs(3n)).toBe(false);
    review.told(9n, 'snapshot');
    review.told(9n, 'bookmark');
    expect(differs(9n)).toBe(false);
    review.told(10n, 'bookmark');
    expect(differs(10n)).toBe(true);
  });

  test('a view is compared once a minute at most', () => {
    const { clock, differs, review } = setUp();
    review.told(3n, 'delta');
    differs(3n, RIGHT);
    review.told(4n, 'delta');
    clock.advance(59_000);
    expect(differs(4n)).toBe(false);
    clock.advance(1_000);
    expect(differs(4n)).toBe(true);
  });

  test('a problem is logged with its device when it is new, cut to a line that fits, and not more than now and then', () => {
    const { clock, review, warn } = setUp();
    review.noteProblem('');
    review.noteProblem('x'.repeat(1_000));
    review.noteProblem('x'.repeat(1_000));
    review.noteProblem('another');
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0]?.[0]).toEqual({
      device_id: 'device',
      vpc_id: 'vpc',
      problem: 'x'.repeat(500),
    });
    clock.advance(10_000);
    review.noteProblem('another');
    expect(warn).toHaveBeenCalledTimes(2);
  });
});
