/**
 * Configuration of a process.
 *
 * One Zod object says which keys there are. Values come from its defaults, then from a YAML file, then from the
 * environment, later ones winning. The variable of a key is the prefix and the key's path in upper case:
 * `api.listen` with prefix NEXODUS is NEXODUS_API_LISTEN; its value is read as YAML, so that numbers, booleans and lists
 * work. A key or variable that the object does not know is an error, in the file as in the environment: a misspelt
 * setting must never pass for its default.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { ConfigError } from './config-error.ts';

/** Where configuration comes from. */
export interface ConfigSources {
  /** Path of the YAML file; absent for none. */
  file?: string;
  /** Environment. */
  env: Readonly<Record<string, string | undefined>>;
  /** Prefix of variables, without the underscore, such as "NEXODUS". */
  envPrefix: string;
  /** Variables with the prefix that mean something else. */
  reservedVariables?: readonly string[];
}

type Tree = { [key: string]: unknown };

/**
 * Reads, merges and validates.
 *
 * @throws {ConfigError} with every problem found
 */
export function loadConfig<T extends z.ZodObject>(schema: T, sources: ConfigSources): z.output<T> {
  const problems: string[] = [];
  const merged = readFile(sources.file);
  const fromVariable = new Map<string, string>();
  const paths = leafPaths(schema);
  for (const [name, text] of Object.entries(sources.env)) {
    if (text === undefined || !name.startsWith(`${sources.envPrefix}_`)) continue;
    if (sources.reservedVariables?.includes(name) === true) continue;
    const path = paths.find((candidate) => variableName(sources.envPrefix, candidate) === name);
    if (path === undefined) {
      problems.push(`${name}: no such setting`);
      continue;
    }
    setAt(merged, path, parseValue(text));
    fromVariable.set(path.join('.'), name);
  }
  const result = strictly(schema).safeParse(merged);
  if (!result.success) {
    for (const issue of result.error.issues)
      problems.push(...describe(issue, fromVariable, sources.file));
  }
  if (problems.length > 0 || !result.success) throw new ConfigError(problems);
  // The strict copy of the schema has the same output as the schema.
  return result.data as z.output<T>;
}

function readFile(file: string | undefined): Tree {
  if (file === undefined) return {};
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError([
      `${file}: cannot be read (${error instanceof Error ? error.message : String(error)})`,
    ]);
  }
  let tree: unknown;
  try {
    tree = parse(text) ?? {};
  } catch (error) {
    throw new ConfigError([
      `${file}: is not YAML (${error instanceof Error ? error.message : String(error)})`,
    ]);
  }
  if (!isTree(tree)) throw new ConfigError([`${file}: must be a map of settings`]);
  return tree;
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function variableName(prefix: string, path: readonly string[]): string {
  return [prefix, ...path].join('_').toUpperCase();
}

/** A string that YAML would refuse is taken as it stands. */
function parseValue(text: string): unknown {
  try {
    const value: unknown = parse(text);
    return value instanceof Date ? text : value;
  } catch {
    return text;
  }
}

function setAt(tree: Tree, path: readonly string[], value: unknown): void {
  const [head, ...rest] = path;
  if (head === undefined) return;
  if (rest.length === 0) {
    tree[head] = value;
    return;
  }
  const inner = tree[head];
  const next: Tree = isTree(inner) ? inner : {};
  tree[head] = next;
  setAt(next, rest, value);
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return unwrap(schema.unwrap());
  }
  return schema;
}

function leafPaths(schema: z.core.$ZodType, at: readonly string[] = []): string[][] {
  const inner = unwrap(schema);
  if (!(inner instanceof z.ZodObject)) return [[...at]];
  return Object.entries(inner.shape).flatMap(([key, value]) => leafPaths(value, [...at, key]));
}

/** The same object, refusing unknown keys at every depth. */
function strictly(schema: z.ZodObject): z.ZodObject {
  const shape: Record<string, z.core.$ZodType> = {};
  for (const [key, value] of Object.entries(schema.shape)) shape[key] = strictField(value);
  return z.core.clone(schema, { ...schema.def, shape, catchall: z.never() });
}

function strictField(value: z.core.$ZodType): z.core.$ZodType {
  if (value instanceof z.ZodObject) return strictly(value);
  if (value instanceof z.ZodArray)
    return z.core.clone(value, { ...value.def, element: strictField(value.element) });
  if (value instanceof z.ZodRecord)
    return z.core.clone(value, { ...value.def, valueType: strictField(value.valueType) });
  if (
    value instanceof z.ZodOptional ||
    value instanceof z.ZodDefault ||
    value instanceof z.ZodPrefault
  ) {
    return z.core.clone(value, { ...value.def, innerType: strictField(value.unwrap()) });
  }
  return value;
}

function describe(
  issue: z.core.$ZodIssue,
  fromVariable: ReadonlyMap<string, string>,
  file: string | undefined,
): string[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(
      (key) => `${[...path, key].join('.')}: no such setting (in ${file ?? 'the environment'})`,
    );
  }
  const key = path.join('.');
  const source = fromVariable.get(key) ?? file;
  return [`${key}: ${issue.message}${source === undefined ? '' : ` (from ${source})`}`];
}
