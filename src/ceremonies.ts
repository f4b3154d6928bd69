/** Ceremonies of the wrapping key, from the command line: making one, keeping it in shares, bringing it back. No key is ever printed. */
import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { combineWrappingKey, splitWrappingKey, wrappingKeyId } from './custody/index.ts';

export interface Sharing {
  /** How many shares there are, and how many of them are needed. */
  readonly shares: number;
  readonly threshold: number;
  /** Folder, made if there is none; nothing in it is overwritten. */
  readonly folder: string;
}

const KEY_FILE = 'wrapping-key';

/** Makes a wrapping key: the key in a file for `KEY_ENCRYPTION_KEY_FILE`, and its shares. @returns its id. */
export async function makeWrappingKey(sharing: Sharing): Promise<string> {
  const key = createSecretKey(randomBytes(32));
  const id = await shareWrappingKey(key, sharing);
  writeKey(join(sharing.folder, KEY_FILE), key);
  return id;
}

/** Writes the shares of a key, each to a file of its own, readable by the owner alone. @returns the key's id. */
export async function shareWrappingKey(key: KeyObject, sharing: Sharing): Promise<string> {
  const lines = await splitWrappingKey(key, sharing);
  mkdirSync(sharing.folder, { recursive: true, mode: 0o700 });
  for (const [index, line] of lines.entries())
    write(join(sharing.folder, `share-${index + 1}-of-${sharing.shares}`), line);
  return wrappingKeyId(key);
}

/** Brings a key back from files of shares. @param file Where it is written. @returns its id. */
export async function restoreWrappingKey(shareFiles: readonly string[], file: string): Promise<string> {
  const key = await combineWrappingKey(shareFiles.map((path) => readFileSync(path, 'utf8')));
  writeKey(file, key);
  return wrappingKeyId(key);
}

function writeKey(path: string, key: KeyObject): void {
  write(path, key.export().toString('base64'));
}

function write(path: string, line: string): void {
  writeFileSync(path, `${line}\n`, { mode: 0o600, flag: 'wx' });
}
