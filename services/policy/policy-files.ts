import { readdirSync, readFileSync } from 'node:fs';

/** Policies as they are written: one schema and any number of files of policies. */
export interface PolicyTexts {
  /** Cedar schema. */
  readonly schema: string;
  /** Cedar policies, by name of file. */
  readonly policies: Readonly<Record<string, string>>;
}

/** Folder of the policies that the service comes with. */
const ownFolder = new URL('./policies/', import.meta.url);

/**
 * Reads the schema and all `.cedar` files of the service's own folder.
 *
 * @throws when one of them cannot be read
 */
export function readPolicyFiles(): PolicyTexts {
  const names = readdirSync(ownFolder).filter((name) => name.endsWith('.cedar'));
  const read = (name: string): string => readFileSync(new URL(name, ownFolder), 'utf8');
  return {
    schema: read('schema.cedarschema'),
    policies: Object.fromEntries(names.sort().map((name) => [name, read(name)])),
  };
}
