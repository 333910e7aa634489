/** Longest label of a name, in characters (RFC 1123 section 2.1, RFC 1035 section 2.3.4). */
const longestLabel = 63;

/** Whether the text is a label in lower case. */
export function isLabel(text: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

/**
 * Makes a label of what a machine calls itself: its first label in lower case, what is not allowed replaced by hyphens;
 * "device" when nothing is left.
 */
export function toLabel(wish: string): string {
  const first = wish.toLowerCase().split('.')[0] ?? '';
  const label = first
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, longestLabel)
    .replace(/^-+|-+$/g, '');
  return label === '' ? 'device' : label;
}

/** The label with an ending of at most 32 of a-z and 0-9, for one more who wants it: "web", "web-2", "web-3". */
export function suffixedLabel(label: string, ending: string): string {
  const suffix = `-${ending}`;
  return `${label.slice(0, longestLabel - suffix.length).replace(/-+$/, '')}${suffix}`;
}
