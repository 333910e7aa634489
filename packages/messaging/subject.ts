/** A subject, pattern or key that cannot be used. */
export class InvalidSubjectError extends Error {
  constructor(text: string, reason: string) {
    super(`${JSON.stringify(text)} ${reason}`);
    this.name = 'InvalidSubjectError';
  }
}

/** What NATS allows everywhere, also in keys of a bucket. */
const TOKEN = /^[-/_=a-zA-Z0-9]+$/;

/** @throws InvalidSubjectError unless `subject` is one or more tokens joined by dots, without wildcards. */
export function requireSubject(subject: string): void {
  if (subject.split('.').every((token) => TOKEN.test(token))) return;
  throw new InvalidSubjectError(
    subject,
    'is not a subject: tokens of -/_=a-zA-Z0-9 joined by dots',
  );
}

/** @throws InvalidSubjectError unless `pattern` is a subject in which tokens may be `*`, and the last one `>`. */
export function requirePattern(pattern: string): void {
  const tokens = pattern.split('.');
  const isToken = (token: string, index: number): boolean =>
    token === '*' || (token === '>' && index === tokens.length - 1) || TOKEN.test(token);
  if (tokens.every(isToken)) return;
  throw new InvalidSubjectError(
    pattern,
    'is not a pattern: a subject whose tokens may be *, and the last one >',
  );
}

/** Whether `pattern` takes in `subject`: `*` stands for one token, a final `>` for one or more. */
export function matchesSubject(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  for (const [index, want] of wanted.entries()) {
    const token = tokens[index];
    if (token === undefined) return false;
    if (want === '>') return true;
    if (want !== '*' && want !== token) return false;
  }
  return wanted.length === tokens.length;
}
