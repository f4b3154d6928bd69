import { createLogger } from '../../src/platform/logger.ts';

export const silentLogger = createLogger('silent');

/** A logger whose lines can be read back. */
export function recordingLogger(level = 'debug') {
  const lines: string[] = [];
  return { lines, logger: createLogger(level, { write: (line) => lines.push(line) }) };
}
