/** Structured logs. Whatever could carry a secret or a person is cut out here, whoever logs it. */
import { destination as fileDestination, pino, stdSerializers, stdTimeFunctions, type Logger } from 'pino';

export type { Logger };

const SECRET_FIELDS: ReadonlySet<string> = new Set([
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
  'client_assertion',
  'access_token',
  'refresh_token',
  'id_token',
  'logout_token',
  'login_hint',
]);
/** Deeper than this nothing is written. */
const MAX_DEPTH = 5;

/** Of an error: what it is, what it says, where. Database drivers hang the values of the statement on theirs. */
function describe(error: Error): object {
  const { type, message, stack } = stdSerializers.err(error);
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  return { type, ...code, message, stack };
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
    // A list of paths, which the library would walk for every line, costs more than a request to a hot endpoint.
    formatters: { log: (line: object) => cut(line, 0) as Record<string, unknown> },
    // An error is described there; the library would describe the description.
    serializers: { err: (described: unknown) => described },
  };
  return pino(options, destination ?? standardOutput());
}

/** Milliseconds that a line may wait for others to be written with. */
const GATHER_MS = 100;

/** Lines are written together: one call for each would cost more than all else about them. At the end of the process, what is left. */
function standardOutput() {
  const output = fileDestination({ dest: 1, sync: false, minLength: 4096 });
  setInterval(() => output.flush(), GATHER_MS).unref();
  process.once('exit', () => {
    output.flushSync();
  });
  return output;
}

/** A copy without the fields that may hold secrets, at whatever depth they stand. */
function cut(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '[deep]';
  if (value instanceof Date) return value;
  if (Array.isArray(value)) return value.map((item) => cut(item, depth + 1));
  const source = value instanceof Error ? describe(value) : value;
  const copy: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(source)) {
    // The `code` of an error says what went wrong; that of anything else may be worth a sign-in.
    const secret = SECRET_FIELDS.has(name.toLowerCase()) && !(name === 'code' && value instanceof Error);
    copy[name] = secret ? '[cut]' : cut(inner, depth + 1);
  }
  return copy;
}
