/** `npm run bench`: the benchmark table. Cold start now; run it on a quiet machine and compare figures of one run alone. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServices } from '../test/setup/services.ts';
import { coldStarts } from './cold-start.ts';

const folder = mkdtempSync(join(tmpdir(), 'yinxin-bench-'));
const services = await startServices();
try {
  const rows = await coldStarts({ folder, databaseUrl: services.databaseUrl, redisUrl: services.redisUrl });
  console.table(rows);
} finally {
  await services.stop();
  rmSync(folder, { recursive: true, force: true });
}
