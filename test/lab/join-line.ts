import { stripVTControlCharacters } from 'node:util';

/** A line that a service shows to people so that they paste it on the machine that shall join. */
const JOIN_LINE = /(?:^|\s)nexd\s+(up\s.*--service-url\s.*)$/;

/** Words of a line as a POSIX shell splits it, without expansions: none belongs into a join line. */
const WORD = /'([^']*)'|"([^"$`\\]*)"|([^\s'"$`\\;&|<>()]+)/gy;

/** Thrown for a text in which there is no join line, or one that a shell would not take as plain words. */
export class JoinLineError extends Error {
  override readonly name = 'JoinLineError';
}

/**
 * The arguments of `nexd` in the line of a text that joins a machine, `up` first.
 *
 * @throws JoinLineError
 */
export function parseJoinLine(text: string): readonly string[] {
  const lines = stripVTControlCharacters(text).split('\n');
  for (const line of lines) {
    const match = JOIN_LINE.exec(line.trimEnd());
    if (match?.[1] !== undefined) return splitWords(match[1]);
  }
  throw new JoinLineError('no line of the text is `nexd up --service-url ...`');
}

function splitWords(line: string): readonly string[] {
  const words: string[] = [];
  let at = 0;
  while (at < line.length) {
    if (/\s/.test(line.charAt(at))) {
      at += 1;
      continue;
    }
    let word = '';
    while (at < line.length && !/\s/.test(line.charAt(at))) {
      WORD.lastIndex = at;
      const piece = WORD.exec(line);
      if (piece === null)
        throw new JoinLineError('the join line has a character that a shell would interpret');
      word += piece[1] ?? piece[2] ?? piece[3] ?? '';
      at = WORD.lastIndex;
    }
    words.push(word);
  }
  return words;
}
