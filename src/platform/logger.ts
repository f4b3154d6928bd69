/** Structured logs. Whatever could carry a secret or a person is cut out here, whoever logs it. */
import { pino, stdSerializers, stdTimeFunctions, type Logger } from 'pino';

export type { Logger };

const SECRET_FIELDS = [
  'password',
  'secret',
  'token',
  'code',
  'identifier',
  'phone',
  'phone_number',
  'cookie',
  'authorization',
  'client_secret',
  'access_token',
  'refresh_token',
  'id_token',
  'logout_token',
  'login_hint',
];

/** Of an error: what it is, what it says, where. Database drivers hang the values of the statement on theirs. */
function describe(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { type, message, stack } = stdSerializers.err(error);
  return { type, message, stack };
}

/**
 * @param level Least level that is written.
 * @param destination Where lines go; standard output when absent.
 */
export function createLogger(level: string, destination?: { write(line: string): void }): Logger {
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    serializers: { err: describe },
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`, `*.headers["${field}"]`]),
      censor: '[cut]',
    },
  };
  return destination ? pino(options, destination) : pino(options);
}
