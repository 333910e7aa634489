/** Where the server's log lines go; a `pino` logger fits. */
export interface EmbeddedPostgresLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** `log_line_prefix`: the SQLSTATE, by which lines are judged, never by their text. */
export const LOG_LINE_PREFIX = '%e ';

const LOG_LINE = /^([0-9A-Z]{5}) ([A-Z0-9]+): +(.*)$/;

/** How many last lines an error message may quote. */
const TAIL_LINES = 12;

/** Reads what the server writes to standard error. */
export class ServerLog {
  /** SQLSTATE codes of the lines FATAL and PANIC seen so far. */
  readonly fatalStates = new Set<string>();
  private readonly logger: EmbeddedPostgresLogger | undefined;
  private readonly lines: string[] = [];
  private rest = '';

  constructor(logger: EmbeddedPostgresLogger | undefined) {
    this.logger = logger;
  }

  /** Takes the next piece of output, cut anywhere. */
  write(chunk: string): void {
    const lines = (this.rest + chunk).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.take(line);
  }

  /** The last lines, for the text of an error. */
  tail(): string {
    return [...this.lines, this.rest].join(' | ').trim();
  }

  private take(line: string): void {
    this.lines.push(line);
    if (this.lines.length > TAIL_LINES) this.lines.shift();
    const [, sqlState, severity, text] = LOG_LINE.exec(line) ?? [];
    if (sqlState === undefined || severity === undefined || text === undefined) return;
    if (severity === 'FATAL' || severity === 'PANIC') this.fatalStates.add(sqlState);
    this.report({ sqlState, severity, text });
  }

  private report(fields: { sqlState: string; severity: string; text: string }): void {
    const isClosing = fields.sqlState.startsWith('57P');
    if (fields.severity === 'PANIC') this.logger?.error(fields, 'embedded postgres');
    else if (['FATAL', 'WARNING'].includes(fields.severity) && !isClosing)
      this.logger?.warn(fields, 'embedded postgres');
    else this.logger?.debug(fields, 'embedded postgres');
  }
}
