import type { LibraryHandle } from 'koffi';
import { NftError } from './nft-error.ts';
import type { NftProgrammer } from './nft-programmer.ts';

/** Name of the library, version 1 of its interface (libnftables(3)). */
const LIBRARY = 'libnftables.so.1';
/** Of socket(2) and netlink(7) on Linux. */
const AF_NETLINK = 16;
const SOCK_RAW_CLOSE_ON_EXEC = 3 | 0o2000000;
const NETLINK_NETFILTER = 12;
/** NFT_CTX_OUTPUT_JSON. */
const OUTPUT_JSON = 1 << 4;

/** How the library is found. */
export interface LibraryNftProgrammerOptions {
  /** Name or path. Default: what the dynamic loader finds as libnftables.so.1. */
  readonly library?: string;
}

/** Functions of libnftables(3) that are used. A context is an opaque address. */
interface Libnftables {
  readonly canOpenNetfilterSocket: () => boolean;
  readonly newContext: (flags: number) => unknown;
  readonly freeContext: (context: unknown) => void;
  readonly bufferOutput: (context: unknown) => number;
  readonly bufferError: (context: unknown) => number;
  readonly setOutputFlags: (context: unknown, flags: number) => void;
  readonly run: (context: unknown, commands: string) => number;
  readonly output: (context: unknown) => string;
  readonly error: (context: unknown) => string;
}

/**
 * Programs nftables through libnftables in this process.
 *
 * @throws {NftError} `unavailable` where the library or koffi cannot be loaded
 */
export async function createLibraryNftProgrammer(
  options: LibraryNftProgrammerOptions = {},
): Promise<NftProgrammer> {
  const library = await load(options.library ?? LIBRARY);
  // The library ends the whole process where the kernel gives it no such socket.
  if (!library.canOpenNetfilterSocket()) throw new NftError('unavailable', 'no nftables here');
  const context = library.newContext(0);
  if (
    context === null ||
    library.bufferOutput(context) !== 0 ||
    library.bufferError(context) !== 0
  ) {
    throw new NftError('unavailable', 'libnftables gives no context');
  }
  return new LibraryNftProgrammer(library, context);
}

class LibraryNftProgrammer implements NftProgrammer {
  readonly technology = 'library';
  readonly #library: Libnftables;
  #context: unknown;

  constructor(library: Libnftables, context: unknown) {
    this.#library = library;
    this.#context = context;
  }

  apply(commands: string): void {
    this.#run(commands, 0);
  }

  query(command: string): unknown {
    return JSON.parse(this.#run(command, OUTPUT_JSON)) as unknown;
  }

  show(command: string): string {
    return this.#run(command, 0);
  }

  close(): void {
    if (this.#context === undefined) return;
    this.#library.freeContext(this.#context);
    this.#context = undefined;
  }

  #run(commands: string, flags: number): string {
    if (this.#context === undefined) throw new NftError('unavailable', 'the programmer is closed');
    const library = this.#library;
    library.setOutputFlags(this.#context, flags);
    const status = library.run(this.#context, commands);
    // Reading a buffer empties it.
    const output = library.output(this.#context);
    const error = library.error(this.#context);
    if (status !== 0) throw new NftError('refused', error.trim() || `libnftables: ${status}`);
    return output;
  }
}

async function load(path: string): Promise<Libnftables> {
  try {
    const { default: binding } = await import('koffi');
    return functionsOf(binding.load(path), binding.load(null));
  } catch (cause) {
    throw new NftError('unavailable', `${path} cannot be loaded`, { cause });
  }
}

function functionsOf(library: LibraryHandle, system: LibraryHandle): Libnftables {
  const socket = system.func('int socket(int domain, int type, int protocol)');
  const close = system.func('int close(int fd)');
  return {
    canOpenNetfilterSocket: () => {
      const fd: unknown = socket(AF_NETLINK, SOCK_RAW_CLOSE_ON_EXEC, NETLINK_NETFILTER);
      return typeof fd === 'number' && fd >= 0 && close(fd) === 0;
    },
    newContext: library.func('void *nft_ctx_new(uint32_t flags)'),
    freeContext: library.func('void nft_ctx_free(void *ctx)'),
    bufferOutput: library.func('int nft_ctx_buffer_output(void *ctx)'),
    bufferError: library.func('int nft_ctx_buffer_error(void *ctx)'),
    setOutputFlags: library.func('void nft_ctx_output_set_flags(void *ctx, uint32_t flags)'),
    run: library.func('int nft_run_cmd_from_buffer(void *ctx, const char *buf)'),
    output: library.func('const char *nft_ctx_get_output_buffer(void *ctx)'),
    error: library.func('const char *nft_ctx_get_error_buffer(void *ctx)'),
  };
}
