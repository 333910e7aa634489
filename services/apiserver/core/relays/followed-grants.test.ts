import { DeviceImage } from '@nexodus/contracts/event';
import { GrantPayload } from '@nexodus/contracts/relay';
import { describe, expect, test } from 'vitest';
import { FollowedGrants } from './followed-grants.ts';
import { grantedDevice, type GrantViews } from './grant-standing.ts';

const NOTHING = { revoked: [], confirmed: [] };

function image(id: string, key = 1): DeviceImage {
  return DeviceImage.fromPartial({
    id,
    devicePublicKey: Buffer.alloc(32, id),
    binding: { wireguardPublicKey: Buffer.alloc(32, key) },
  });
}

/** Devices a, b and c, of which policy lets only a and b see each other. */
function views(changes: Partial<GrantViews> = {}, images = ['a', 'b', 'c'].map((id) => image(id))) {
  return {
    revision: 5n,
    shownImage: (id: string) => images.find((candidate) => candidate.id === id),
    sees: (left: string, right: string) => [left, right].sort().join('') === 'ab',
    ...changes,
  };
}

function grant(grantId: string, ids: string[], policyRevision = 5n): GrantPayload {
  const devices = ids.flatMap((id) => grantedDevice(id, views()) ?? []);
  return GrantPayload.fromPartial({ grantId, devices, policyRevision });
}

describe('followed grants', () => {
  function followed(...grants: GrantPayload[]): FollowedGrants {
    const all = new FollowedGrants();
    for (const one of grants) all.add(one, 0);
    return all;
  }

  test('a pass and an allowed pair are confirmed once', () => {
    const all = followed(grant('pass', ['c']), grant('pair', ['a', 'b']));
    expect(all.judge('all', views(), 0)).toEqual({ revoked: [], confirmed: ['pass', 'pair'] });
    expect(all.judge('all', views(), 0)).toEqual(NOTHING);
  });

  test('a pair ends when policy changes, a device goes or a key is another', () => {
    const worse = [
      views({ sees: () => false }),
      views({}, [image('a')]),
      views({}, [image('a'), image('b', 2)]),
    ];
    for (const now of worse) {
      const all = followed(grant('pair', ['a', 'b']));
      all.judge('all', views(), 0);
      expect(all.judge(['b'], now, 0)).toEqual({ revoked: ['pair'], confirmed: [] });
      expect(all.size).toBe(0);
    }
  });

  test('only the grants of the devices that changed are judged', () => {
    const all = followed(grant('pair', ['a', 'b']));
    expect(all.judge(['c'], views({ sees: () => false }), 0)).toEqual(NOTHING);
  });

  test('a replica that lags behind a grant does not revoke it, unless it stays behind', () => {
    const all = followed(grant('pair', ['a', 'b'], 6n));
    const behind = views({ sees: () => false });
    expect(all.judge('all', behind, 9_999)).toEqual(NOTHING);
    expect(all.undecided()).toEqual(['a', 'b']);
    expect(all.judge(all.undecided(), behind, 10_000).revoked).toEqual(['pair']);
  });

  test('without views nothing is revoked', () => {
    const all = followed(grant('pair', ['a', 'b']));
    expect(all.judge('all', undefined, 60_000)).toEqual(NOTHING);
  });

  test('what is not followed any more is not told', () => {
    const all = followed(grant('pair', ['a', 'b']));
    all.remove('pair');
    expect(all.judge('all', views({ sees: () => false }), 0)).toEqual(NOTHING);
  });
});
