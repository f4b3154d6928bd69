/** A token of SoftHSM in a folder of its own. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TokenSettings } from '../../src/custody/pkcs11/connection.ts';

const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so'];

export interface SoftToken {
  readonly settings: TokenSettings;
  remove(): void;
}

/** One for each process: the module reads its configuration once, from the variable `SOFTHSM2_CONF`. */
export function makeSoftToken(label: string, sessions = 4): SoftToken {
  const module = MODULES.find((each) => existsSync(each));
  if (module === undefined) throw new Error('libsofthsm2.so was not found after installing softhsm2');
  const folder = mkdtempSync(join(tmpdir(), 'yinxin-token-'));
  const tokens = join(folder, 'tokens');
  mkdirSync(tokens);
  const configuration = join(folder, 'softhsm2.conf');
  writeFileSync(configuration, `directories.tokendir = ${tokens}\nlog.level = ERROR\n`);
  process.env['SOFTHSM2_CONF'] = configuration;
  const pin = '739154';
  execFileSync(
    'softhsm2-util',
    ['--init-token', '--free', '--label', label, '--so-pin', '82736451', '--pin', pin],
    { stdio: 'ignore' },
  );
  return {
    settings: { module, label, pin, sessions },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
