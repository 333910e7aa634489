/** One line of iputils ping that tells about an echo, or the summary at its end. */
export type PingEvent =
  | {
      readonly kind: 'reply';
      readonly sequence: number;
      readonly rttMs: number;
      readonly isDuplicate: boolean;
    }
  | { readonly kind: 'summary'; readonly sent: number };

const REPLY = /^\d+ bytes from .*icmp_seq=(\d+) .*time=([\d.]+) ms( \(DUP!\))?/;
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
  const summary = SUMMARY.exec(line);
  return summary === null ? undefined : { kind: 'summary', sent: Number(summary[1]) };
}
