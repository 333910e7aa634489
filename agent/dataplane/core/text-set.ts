/** The texts of `list` that are not in `other`, in the order of `list`. */
export function without(list: readonly string[], other: readonly string[]): string[] {
  const excluded = new Set(other);
  return list.filter((text) => !excluded.has(text));
}

/** The texts of `list` that are also in `other`, in the order of `list`. */
export function within(list: readonly string[], other: readonly string[]): string[] {
  const included = new Set(other);
  return list.filter((text) => included.has(text));
}
