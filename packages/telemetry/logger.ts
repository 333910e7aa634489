import { trace } from '@opentelemetry/api';
import { type DestinationStream, pino } from 'pino';

/** Levels, from the one a person must act on downwards (docs/contributing.md says which is for what). */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';

/** Facts of a log line. Never a secret; addresses and names of people below info only. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log: constant messages, data in fields. */
export interface Logger {
  error(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  trace(fields: LogFields, message: string): void;
  /** A logger whose lines carry these fields too. */
  child(fields: LogFields): Logger;
}

/** Options of a logger. */
export interface LoggerOptions {
  /** Name of the process or module. */
  name: string;
  /** Least level that is written. Default "info". */
  level?: LogLevel | 'silent';
  /** Where lines go. Default standard error. */
  destination?: DestinationStream;
}

/** Makes a logger of JSON lines with the trace id of the active span. Errors go under `error`. */
export function createLogger({ name, level = 'info', destination }: LoggerOptions): Logger {
  return pino(
    {
      name,
      level,
      errorKey: 'error',
      serializers: { error: describeError, err: describeError },
      mixin: () => {
        const span = trace.getActiveSpan()?.spanContext();
        return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId };
      },
      redact: {
        paths: [
          '*.authorization',
          '*.password',
          '*.secret',
          '*.access_token',
          '*.accessToken',
          '*.dpop',
        ],
        censor: '[redacted]',
      },
    },
    destination ?? pino.destination(2),
  );
}

/** What PostgreSQL says besides the message of an error: rows and values, with keys and addresses in them. */
const fieldsWithData = ['detail', 'where', 'internalQuery', 'parameters'];

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const described: Record<string, unknown> = { ...pino.stdSerializers.err(error) };
  return Object.fromEntries(
    Object.entries(described).filter(([field]) => !fieldsWithData.includes(field)),
  );
}

/** A logger that writes nothing. */
export const silentLogger: Logger = createLogger({ name: 'silent', level: 'silent' });
