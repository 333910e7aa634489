/** Control characters, NUL among them, which PostgreSQL cannot store, and halves of surrogate pairs. */
const unprintable = /[\p{Cc}\p{Cs}]/u;

/** Whether a text has nothing in it that cannot be shown on a line, or stored. */
export function isPlainText(text: string): boolean {
  return !unprintable.test(text);
}

/** What is wrong with a text in a request: how long it is, in characters, or what is in it. Empty for nothing. */
export function textViolations(
  field: string,
  text: string,
  { min = 0, max }: { min?: number; max: number },
): { field: string; description: string }[] {
  if (!isPlainText(text)) return [{ field, description: 'must not hold control characters' }];
  if (text.length >= min && text.length <= max) return [];
  const description =
    min === 0 ? `must not exceed ${max} characters` : `must be ${min}-${max} characters`;
  return [{ field, description }];
}
