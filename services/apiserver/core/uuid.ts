/** Whether the text is a UUID in canonical form, which is what ids are. */
export function isUuid(text: string | undefined): text is string {
  return (
    text !== undefined &&
    /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text)
  );
}
