import { answeredServers, isSamePlace, type NatCheck, type NatTest } from './nat-check.ts';
import type {
  FilteringBehaviour,
  MappedPlace,
  MappingBehaviour,
  NatReason,
  NatVerdict,
  Place,
} from './nat-verdict.ts';

/** What a check found out; of a check that is not done, what is known so far. Never throws. */
export function judgeNat(check: NatCheck): NatVerdict {
  const { plan } = check;
  const mapped = mappedPlaces(check);
  const [first] = mapped;
  if (first === undefined) return unseen(plan.servers.length);
  const isTranslated = !plan.ownAddresses.has(first.mapped.address);
  const mapping = isTranslated ? judgeMapping(check, mapped) : UNTRANSLATED;
  const filtering = judgeFiltering(check);
  return {
    kind: isTranslated ? 'nat' : untranslatedKind(filtering.behaviour),
    mapping: mapping.behaviour,
    filtering: filtering.behaviour,
    isPortPreserved: mapped.every((place) => place.mapped.port === plan.localPort),
    hairpin: isTranslated ? judgeHairpin(check) : 'not-needed',
    mapped,
    reasons: [...mapping.reasons, ...filtering.reasons],
  };
}

interface Judgement<B> {
  readonly behaviour: B | 'unknown';
  readonly reasons: readonly NatReason[];
}

const UNTRANSLATED: Judgement<MappingBehaviour> = { behaviour: 'eim', reasons: [] };

function unseen(servers: number): NatVerdict {
  return {
    kind: servers === 0 ? 'unknown' : 'udp-blocked',
    mapping: 'unknown',
    filtering: 'unknown',
    isPortPreserved: undefined,
    hairpin: 'unknown',
    mapped: [],
    reasons: [servers === 0 ? { code: 'no-server' } : { code: 'no-answer', servers }],
  };
}

function mappedPlaces(check: NatCheck): readonly MappedPlace[] {
  return answeredServers(check).flatMap(({ request, answer }) =>
    answer?.mapped === undefined ? [] : [{ server: request.to, mapped: answer.mapped }],
  );
}

function untranslatedKind(filtering: FilteringBehaviour | 'unknown') {
  if (filtering === 'unknown') return 'untranslated';
  return filtering === 'eif' ? 'open' : 'firewall';
}

/** The tunnel's own port has the last word; the fresh socket says what that port was not asked for. */
function judgeMapping(
  check: NatCheck,
  mapped: readonly MappedPlace[],
): Judgement<MappingBehaviour> {
  const addresses = new Set(mapped.map(({ server }) => server.address));
  const differs = mapped.some((place) => !isSamePlace(place.mapped, mapped[0]?.mapped));
  if (!differs && addresses.size > 1) return { behaviour: 'eim', reasons: [] };
  const [first, address, port] = (['fresh-first', 'fresh-address', 'fresh-port'] as const).map(
    (test) => answerTo(check, test)?.mapped,
  );
  const byPort = comparePorts(address, port);
  if (differs) {
    const reasons: NatReason[] = [{ code: 'mappings-differ' }];
    if (byPort === undefined) reasons.push({ code: 'ports-not-compared' });
    return { behaviour: byPort ?? 'apdm', reasons };
  }
  if (first === undefined || address === undefined)
    return { behaviour: 'unknown', reasons: [{ code: 'one-server' }] };
  if (isSamePlace(first, address)) return { behaviour: 'eim', reasons: [] };
  return { behaviour: byPort ?? 'apdm', reasons: [{ code: 'mappings-differ' }] };
}

function comparePorts(address?: Place, port?: Place): MappingBehaviour | undefined {
  if (address === undefined || port === undefined) return undefined;
  return isSamePlace(address, port) ? 'adm' : 'apdm';
}

/** RFC 5780 section 4.4. */
function judgeFiltering(check: NatCheck): Judgement<FilteringBehaviour> {
  const both = outcomeOf(check, 'change-both');
  const port = outcomeOf(check, 'change-port');
  if (both === 'answered') return { behaviour: 'eif', reasons: [] };
  if (both === 'silent' && port === 'answered') return { behaviour: 'adf', reasons: [] };
  if (both === 'silent' && port === 'silent') return { behaviour: 'apdf', reasons: [] };
  return { behaviour: 'unknown', reasons: [{ code: 'filtering-not-offered' }] };
}

function judgeHairpin(check: NatCheck): NatVerdict['hairpin'] {
  switch (outcomeOf(check, 'hairpin')) {
    case 'answered':
      return 'yes';
    case 'silent':
      return 'no';
    default:
      return 'unknown';
  }
}

function outcomeOf({ probes }: NatCheck, test: NatTest) {
  return probes.find(({ request }) => request.test === test)?.outcome;
}

function answerTo({ probes }: NatCheck, test: NatTest) {
  return probes.find(({ request, outcome }) => request.test === test && outcome === 'answered')
    ?.answer;
}
