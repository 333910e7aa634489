/** One line of iputils ping that tells about an echo, or the summary at its end. */
export type PingEvent =
  | {
      readonly kind: 'reply';
      readonly sequence: number;
      readonly rttMs: number;
      readonly isDuplicate: boolean;
    }
  | {
      /** It was unanswered when the next was sent. */
      readonly kind: 'outstanding';
      readonly sequence: number;
    }
  | { readonly kind: 'summary'; readonly sent: number };

const REPLY = /^\d+ bytes from .*icmp_seq=(\d+) .*time=([\d.]+) ms( \(DUP!\))?/;
const OUTSTANDING = /^no answer yet for icmp_seq=(\d+)/;
const SUMMARY = /^(\d+) packets transmitted, /;

/** Reads a line of iputils ping; undefined for lines that tell neither of a reply nor the summary. */
export function parsePingLine(line: string): PingEvent | undefined {
  const reply = REPLY.exec(line);
  if (reply !== null) {
    return {
      kind: 'reply',
      sequence: Number(reply[1]),
      rttMs: Number(reply[2]),
      isDuplicate: reply[3] !== undefined,
    };
  }
  const outstanding = OUTSTANDING.exec(line);
  if (outstanding !== null) return { kind: 'outstanding', sequence: Number(outstanding[1]) };
  const summary = SUMMARY.exec(line);
  return summary === null ? undefined : { kind: 'summary', sent: Number(summary[1]) };
}
