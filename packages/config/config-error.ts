/** Configuration that cannot be used. Its message has one line for each problem, naming key, source and remedy. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  /** @param problems one line each, such as `public_url: Invalid URL (from NEXODUS_PUBLIC_URL)` */
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
  }
}
