/**
 * Runs commands of nft(8) in the network namespace of the calling thread.
 *
 * It is synchronous, so that a thread that never returns to its event loop can use it. Nothing is cached between calls:
 * another program may change the rules meanwhile.
 */
export interface NftProgrammer {
  /** `library`: in process, about 0.1 ms for a small change; `command`: a program for each call, some milliseconds. */
  readonly technology: 'library' | 'command';
  /**
   * Carries out all commands of a text in one transaction, or none of them.
   *
   * @throws {NftError}
   */
  apply(commands: string): void;
  /**
   * What a command such as `list table inet x` prints, as JSON (libnftables-json(5)), parsed.
   *
   * @throws {NftError}
   */
  query(command: string): unknown;
  /**
   * What a command prints, as text. For `get element`, which nft 1.0.6 cannot print as JSON.
   *
   * @throws {NftError}
   */
  show(command: string): string;
  /** Frees what it holds; it is not used afterwards. Rules stay. */
  close(): void;
}
