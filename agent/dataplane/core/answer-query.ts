import packet from 'dns-packet';
import type { Answer, DecodedPacket, Question } from 'dns-packet';
import { NAMES_TOP_LEVEL } from './name-zone.ts';
import type { NameZone } from './name-zone.ts';

/**
 * Seconds for which an answer may be kept: short, so that a machine that leaves does not live on in a cache. Negative
 * answers carry no SOA and are therefore not kept at all (RFC 2308 section 5): a machine that joins resolves at once.
 */
const ANSWER_TTL_SECONDS = 5;

/** Response codes (RFC 1035 section 4.1.1). */
const RCODE = { noError: 0, formatError: 1, nameError: 3, notImplemented: 4, refused: 5 } as const;

/** Bits of the flags field (RFC 1035 section 4.1.1). */
const FLAG = { response: 0x8000, authoritative: 0x0400, recursionDesired: 0x0100 } as const;

const HEADER_BYTES = 12;

/** What a question gets. */
interface Verdict {
  readonly rcode: number;
  readonly answers: Answer[];
}

/**
 * Answers one DNS message (RFC 1035) from the zone alone: A, AAAA and PTR of its hosts; NOERROR without answers for
 * other types of a known name and for the domains above; NXDOMAIN for other names below `nexodus`; REFUSED for everything else.
 * `zone` null: there are no names. Null: no answer is due (a response, or bytes without a DNS header). Never throws.
 */
export function answerQuery(zone: NameZone | null, message: Uint8Array): Uint8Array | null {
  const bytes = Buffer.from(message);
  if (bytes.length < HEADER_BYTES) return null;
  const flags = bytes.readUInt16BE(2);
  if ((flags & FLAG.response) !== 0) return null;
  const query = decodeMessage(bytes);
  const question = query?.questions?.length === 1 ? query.questions[0] : undefined;
  if (query === null || question === undefined) {
    return headerOnly(bytes.readUInt16BE(0), flags, RCODE.formatError);
  }
  const isQuery = (flags & 0x7800) === 0;
  const verdict = isQuery ? judge(zone, question) : { rcode: RCODE.notImplemented, answers: [] };
  return respond(query, flags, question, verdict);
}

function decodeMessage(bytes: Buffer): DecodedPacket | null {
  try {
    return packet.decode(bytes);
  } catch {
    return null;
  }
}

function judge(zone: NameZone | null, question: Question): Verdict {
  const name = question.name.toLowerCase();
  const pointer = zone?.pointers.get(name);
  const isOurs = name === NAMES_TOP_LEVEL || name.endsWith(`.${NAMES_TOP_LEVEL}`);
  if (question.class !== 'IN' || zone === null || (!isOurs && pointer === undefined)) {
    return { rcode: RCODE.refused, answers: [] };
  }
  if (pointer !== undefined) {
    const answers = question.type === 'PTR' ? [record('PTR', question.name, pointer)] : [];
    return { rcode: RCODE.noError, answers };
  }
  const host = zone.hosts.get(name);
  if (host !== undefined) return { rcode: RCODE.noError, answers: hostRecords(question, host) };
  const isAbove = name === zone.domain || name === NAMES_TOP_LEVEL;
  return { rcode: isAbove ? RCODE.noError : RCODE.nameError, answers: [] };
}

function hostRecords(
  question: Question,
  host: { readonly v4: readonly string[]; readonly v6: readonly string[] },
): Answer[] {
  if (question.type === 'A') return host.v4.map((data) => record('A', question.name, data));
  if (question.type === 'AAAA') return host.v6.map((data) => record('AAAA', question.name, data));
  return [];
}

function record(type: 'A' | 'AAAA' | 'PTR', name: string, data: string): Answer {
  return { type, name, data, ttl: ANSWER_TTL_SECONDS, class: 'IN' };
}

function respond(
  query: DecodedPacket,
  flags: number,
  question: Question,
  verdict: Verdict,
): Uint8Array {
  const id = query.id ?? 0;
  try {
    return packet.encode({
      type: 'response',
      id,
      flags: FLAG.authoritative | (flags & (0x7800 | FLAG.recursionDesired)) | verdict.rcode,
      questions: [question],
      answers: verdict.answers,
    });
  } catch {
    return headerOnly(id, flags, RCODE.formatError);
  }
}

function headerOnly(id: number, flags: number, rcode: number): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(FLAG.response | (flags & (0x7800 | FLAG.recursionDesired)) | rcode, 2);
  return header;
}
