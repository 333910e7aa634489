import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ServiceFlags } from './api-session.ts';
import { OUTPUT_FORMATS, type OutputFormat } from './print-resource.ts';

/** Options that every command takes, before or after its name. */
export interface GlobalFlags extends ServiceFlags {
  readonly output: OutputFormat;
}

/** Adds them to the program. */
export function addGlobalOptions(program: Command): void {
  program
    .option('--service-url <url>', 'service, https://HOST:PORT (or NEXCTL_SERVICE_URL)')
    .option('--ca <file>', 'CA of the service, PEM')
    .option('--ca-sha256 <pin>', "SHA-256 fingerprint of the service's CA certificate")
    .option('--proxy <url>', 'HTTP proxy to the service (or HTTPS_PROXY, NO_PROXY); "" for none')
    .option('--credentials <file>', 'service account to act as (or NEXCTL_CREDENTIALS)')
    .addOption(
      new Option('-o, --output <format>', 'form of the result')
        .choices(OUTPUT_FORMATS)
        .default('table'),
    );
}

/** The options of a command together with the global ones. */
export function flagsOf<T extends object>(command: Command): GlobalFlags & T {
  return command.optsWithGlobals<GlobalFlags & T>();
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** Reads a duration such as "90s", "15m", "12h" or "7d"; in seconds. For commander. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text);
  const unit = SECONDS[match?.[2] ?? ''];
  if (match === null || unit === undefined) {
    throw new InvalidArgumentError('Use a number with s, m, h or d, such as 12h.');
  }
  return Number(match[1]) * unit;
}

/** Reads a whole number from 0 on. For commander. */
export function parseCount(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Use a whole number from 0 on.');
}

/** Adds a value to those before it. For commander's repeatable options. */
export function collectValues(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
