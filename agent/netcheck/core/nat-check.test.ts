import { describe, expect, test } from 'vitest';
import { judgeNat } from './judge-nat.ts';
import { beginNatCheck, stepNatCheck } from './nat-check.ts';
import { natName } from './nat-verdict.ts';
import {
  INSIDE,
  LOCAL_PORT,
  type ModelNat,
  type ModelServer,
  OUTSIDE,
  type Play,
  playNatCheck,
} from './play-nat-check.fixture.ts';

const at = (address: string, port = 3_478) => ({ address, port });
/** A server with two addresses and ports, and one with neither. */
const full: ModelServer = { at: at('198.51.100.1'), other: at('198.51.100.2', 3_479) };
const plain: ModelServer = { at: at('192.0.2.7') };
const common: ModelNat = {
  mapping: 'eim',
  filtering: 'apdf',
  isHairpinning: false,
  preservesPorts: true,
};

function judge(play: Partial<Play>) {
  return judgeNat(playNatCheck({ nat: common, servers: [full, plain], ...play }).check);
}

describe('a check finds', () => {
  test('the common router, with what every server saw', () => {
    const verdict = judge({});
    expect(natName(verdict)).toBe('eim-apdf');
    expect(verdict).toMatchObject({ kind: 'nat', isPortPreserved: true, hairpin: 'no' });
    const mapped = { address: OUTSIDE, port: LOCAL_PORT };
    expect(verdict.mapped).toEqual([
      { server: full.at, mapped },
      { server: plain.at, mapped },
    ]);
    expect(verdict.reasons).toEqual([]);
  });

  test('nothing between a machine and the internet', () => {
    const verdict = judge({ nat: { ...common, mapping: 'none', filtering: 'eif' } });
    expect(verdict).toMatchObject({ kind: 'open', mapping: 'eim', hairpin: 'not-needed' });
    expect(natName(verdict)).toBe('none');
  });

  test('a firewall that translates nothing', () => {
    const verdict = judge({ nat: { ...common, mapping: 'none' } });
    expect(verdict).toMatchObject({ kind: 'firewall', filtering: 'apdf', isPortPreserved: true });
  });

  test('datagrams that are blocked', () => {
    const dead = [full, plain].map((server) => ({ ...server, isDead: true }));
    const verdict = judge({ servers: dead });
    expect(verdict).toMatchObject({
      kind: 'udp-blocked',
      mapped: [],
      reasons: [{ code: 'no-answer', servers: 2 }],
    });
  });

  test('nothing without a server, at once', () => {
    const { check, endedAtMs } = playNatCheck({ nat: common, servers: [] });
    expect(endedAtMs).toBe(0);
    expect(judgeNat(check)).toMatchObject({ kind: 'unknown', reasons: [{ code: 'no-server' }] });
  });
});

describe('with fewer servers', () => {
  test('one that has two addresses is enough', () => {
    for (const mapping of ['eim', 'adm', 'apdm'] as const) {
      const verdict = judge({ nat: { ...common, mapping }, servers: [full] });
      expect(natName(verdict)).toBe(`${mapping}-apdf`);
    }
  });

  test('one with one address shows the outside address and no behaviour', () => {
    const verdict = judge({ servers: [plain] });
    expect(verdict).toMatchObject({ kind: 'nat', mapping: 'unknown', filtering: 'unknown' });
    expect(verdict.reasons).toEqual([{ code: 'one-server' }, { code: 'filtering-not-offered' }]);
  });

  test('two with one address each tell mapping, and take the harder kind where ports count', () => {
    const servers = [plain, { at: at('192.0.2.8') }];
    expect(judge({ servers })).toMatchObject({ mapping: 'eim', filtering: 'unknown' });
    const verdict = judge({ servers, nat: { ...common, mapping: 'adm' } });
    expect(verdict.mapping).toBe('apdm');
    expect(verdict.reasons).toContainEqual({ code: 'ports-not-compared' });
  });

  test('a dead one holds a check up by the time of its attempts at most', () => {
    const servers = [{ ...plain, isDead: true }, full];
    const { check, endedAtMs } = playNatCheck({ nat: common, servers });
    expect(natName(judgeNat(check))).toBe('eim-apdf');
    expect(endedAtMs).toBeLessThanOrEqual(2_000);
  });
});

describe('no verdict on filtering comes from a server', () => {
  test('whose second address the port talks to anyway', () => {
    const contacted = new Set(['198.51.100.2']);
    expect(judge({ plan: { contacted } }).filtering).toBe('unknown');
    expect(judge({ servers: [full, { at: at('198.51.100.2') }] }).filtering).toBe('unknown');
  });

  test('that answers from where it was asked, or refuses to change', () => {
    const ignores = { ...full, ignoresChanges: true };
    expect(judge({ servers: [ignores, plain] }).filtering).toBe('unknown');
    const check = playNatCheck({ nat: common, servers: [full] }).check;
    const refused = check.probes.map((probe) =>
      probe.request.test.startsWith('change') ? { ...probe, outcome: 'refused' as const } : probe,
    );
    expect(judgeNat({ ...check, probes: refused }).filtering).toBe('unknown');
  });
});

test('the port under test never sends to the second address of a server', () => {
  const { check } = playNatCheck({ nat: { ...common, mapping: 'apdm' }, servers: [full, plain] });
  const toSecond = check.probes.filter(({ request }) => request.to.address === full.other?.address);
  expect(toSecond.map(({ request }) => request.socket)).toEqual(['fresh', 'fresh']);
});

test('requests are repeated after 250 and 750 ms, and given up after 1.5 s', () => {
  const plan = {
    servers: [plain.at],
    contacted: new Set<string>(),
    ownAddresses: new Set([INSIDE]),
    localPort: LOCAL_PORT,
  };
  let step = beginNatCheck(plan, 1_000);
  const sentAtMs = [1_000];
  let nowMs = 1_000;
  while (step.check.stage !== 'done') {
    nowMs = step.nextAtMs;
    step = stepNatCheck(step.check, { kind: 'wake' }, nowMs);
    for (const _request of step.requests) sentAtMs.push(nowMs);
  }
  expect(nowMs).toBe(2_500);
  expect(sentAtMs).toEqual([1_000, 1_250, 1_750]);
});

test('an answer that fits no request, and one that comes twice, change nothing', () => {
  const { check } = playNatCheck({ nat: common, servers: [full] });
  const stray = { from: plain.at, mapped: at('192.0.2.99') };
  for (const id of [0, 99]) {
    expect(stepNatCheck(check, { kind: 'answered', id, answer: stray }, 9_000).check).toEqual(
      check,
    );
  }
});
