/**
 * The kernel's permission to forward, given on some interfaces and taken back.
 *
 * Before anything is changed, what was there is written to a file: whoever starts after a sudden end finds in it how the
 * machine was before the first of them.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** What is to be switched on, and what was on already. */
export interface ForwardingPlan {
  /** Settings that are to become 1. */
  readonly settings: readonly string[];
  /** By family, interfaces on which nothing was forwarded before: only packets of ours may be. */
  readonly guarded: { readonly ipv4: readonly string[]; readonly ipv6: readonly string[] };
  /** Why a family cannot be forwarded; undefined where it can. */
  readonly reasons: { readonly ipv4: string | undefined; readonly ipv6: string | undefined };
}

/** Paths of settings, and what they held before. */
type Originals = Record<string, string>;

/** Where settings are kept; tests put another in its place. */
export interface Settings {
  exists(path: string): boolean;
  /** @throws Error of the system */
  read(path: string): string;
  /** @throws Error of the system */
  write(path: string, value: string): void;
}

const kernelSettings: Settings = {
  exists: existsSync,
  read: (path) => readFileSync(path, 'utf8').trim(),
  write: (path, value) => writeFileSync(path, value),
};

/** Switches forwarding for a lane. */
export class ForwardingSwitch {
  readonly #stateFile: string;
  readonly #settings: Settings;
  readonly #originals: Originals;

  /** Takes over what an earlier one left in the file. */
  constructor(stateFile: string, settings: Settings = kernelSettings) {
    this.#stateFile = stateFile;
    this.#settings = settings;
    this.#originals = readOriginals(stateFile);
  }

  /** Finds out what has to be switched on; changes nothing. */
  plan(interfaces: readonly string[]): ForwardingPlan {
    const settings: string[] = [];
    const guarded = { ipv4: [] as string[], ipv6: [] as string[] };
    const look = (family: 'ipv4' | 'ipv6', settingOf: (name: string) => string | undefined) =>
      reasonOf(() => {
        for (const name of interfaces) {
          const path = settingOf(name);
          if (path === undefined || !this.#isOff(path)) continue;
          settings.push(path);
          guarded[family].push(name);
        }
      });
    const ipv4 = look('ipv4', (name) => `/proc/sys/net/ipv4/conf/${name}/forwarding`);
    const ipv6 = look('ipv6', (name) => this.#ipv6Setting(name));
    return { settings, guarded, reasons: { ipv4, ipv6 } };
  }

  /**
   * Switches it on.
   *
   * @throws Error of the system
   */
  enable({ settings }: ForwardingPlan): void {
    for (const path of settings) this.#originals[path] = '0';
    if (settings.length > 0) this.#writeDown();
    for (const path of settings) {
      if (this.#settings.read(path) !== '1') this.#settings.write(path, '1');
    }
  }

  /** Puts back what was there and forgets it. What cannot be put back stays written down. */
  restore(): void {
    for (const [path, value] of Object.entries(this.#originals)) {
      if (this.#settings.exists(path)) this.#settings.write(path, value);
      delete this.#originals[path];
    }
    rmSync(this.#stateFile, { force: true });
  }

  /**
   * IPv6 is forwarded where it is for all interfaces, or, from Linux 6.17 on, where it is forced for one. It is not
   * switched on for all: that would make a router of the machine, which ignores router advertisements.
   */
  #ipv6Setting(name: string): string | undefined {
    if (!this.#settings.exists(`/proc/sys/net/ipv6/conf/${name}`)) return undefined;
    if (this.#settings.read('/proc/sys/net/ipv6/conf/all/forwarding') !== '0') return undefined;
    const forced = `/proc/sys/net/ipv6/conf/${name}/force_forwarding`;
    if (this.#settings.exists(forced)) return forced;
    throw new Error('net.ipv6.conf.all.forwarding is 0, and this kernel has no force_forwarding');
  }

  /** Whether it is off, or was before the first of us. */
  #isOff(path: string): boolean {
    return (this.#originals[path] ?? this.#settings.read(path)) === '0';
  }

  #writeDown(): void {
    mkdirSync(dirname(this.#stateFile), { recursive: true, mode: 0o700 });
    const draft = `${this.#stateFile}.draft`;
    writeFileSync(draft, JSON.stringify(this.#originals), { mode: 0o600, flush: true });
    renameSync(draft, this.#stateFile);
  }
}

/** A path that the lane may have written; nothing else in the file is believed. */
const OWN_SETTING = /^\/proc\/sys\/net\/ipv[46]\/conf\/[^/]+\/(forwarding|force_forwarding)$/;

function readOriginals(file: string): Originals {
  if (!existsSync(file)) return {};
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const entries = Object.entries(parsed ?? {}).filter(
      ([path, value]) => OWN_SETTING.test(path) && value === '0' && !path.includes('..'),
    );
    return Object.fromEntries<string>(entries);
  } catch {
    // It was never renamed into place half written, so somebody else wrote it.
    return {};
  }
}

function reasonOf(attempt: () => void): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
