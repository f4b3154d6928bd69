/** A backup of one key: the ciphertexts that the database holds of it, and what they are bound to. Of use with the wrapping key alone. */
import { z } from 'zod';
import { isId, type KeyId } from '../platform/ids.ts';
import { CustodyError } from './errors.ts';
import { KEY_TYPES } from './key-types.ts';

const base64 = z
  .string()
  .max(16_384)
  .regex(/^[A-Za-z0-9+/]+={0,2}$/);

const schema = z
  .object({
    format: z.literal('yinxin-key-backup-1'),
    id: z.custom<KeyId>((value) => isId('key', value)),
    owner: z.string().min(1).max(200),
    purpose: z.enum(['token', 'audit', 'root-ca', 'issuing-ca', 'time-stamping', 'ocsp', 'seal']),
    version: z.int().min(1).max(2_147_483_647),
    keyType: z.enum(KEY_TYPES),
    createdAt: z.iso.datetime(),
    /** SubjectPublicKeyInfo. */
    publicKey: base64,
    dataKeyVersion: z.int().min(1).max(2_147_483_647),
    /** Id of the wrapping key. */
    wrappingKey: z.string().regex(/^[0-9a-f]{16}$/),
    wrappedDataKey: base64,
    encryptedPrivateKey: base64,
  })
  .strict();

export type KeyBackup = z.infer<typeof schema>;

/** The columns that a backup holds. */
interface Kept {
  readonly id: KeyId;
  readonly owner: string;
  readonly purpose: KeyBackup['purpose'];
  readonly version: number;
  readonly key_type: KeyBackup['keyType'];
  readonly created_at: Date;
  readonly public_key: Uint8Array;
  readonly data_key_version: number;
  readonly private_key: Uint8Array;
  readonly wrapping_key: string;
  readonly wrapped: Uint8Array;
}

export function writeBackup(kept: Kept): KeyBackup {
  return {
    format: 'yinxin-key-backup-1',
    id: kept.id,
    owner: kept.owner,
    purpose: kept.purpose,
    version: kept.version,
    keyType: kept.key_type,
    createdAt: kept.created_at.toISOString(),
    publicKey: encode(kept.public_key),
    dataKeyVersion: kept.data_key_version,
    wrappingKey: kept.wrapping_key,
    wrappedDataKey: encode(kept.wrapped),
    encryptedPrivateKey: encode(kept.private_key),
  };
}

/** @throws {CustodyError} BACKUP_INVALID */
export function readBackup(backup: unknown): Kept {
  const { data, error } = schema.safeParse(backup);
  if (!data) throw new CustodyError('BACKUP_INVALID', 'This is not a backup of a key.', { cause: error });
  return {
    id: data.id,
    owner: data.owner,
    purpose: data.purpose,
    version: data.version,
    key_type: data.keyType,
    created_at: new Date(data.createdAt),
    public_key: Buffer.from(data.publicKey, 'base64'),
    data_key_version: data.dataKeyVersion,
    private_key: Buffer.from(data.encryptedPrivateKey, 'base64'),
    wrapping_key: data.wrappingKey,
    wrapped: Buffer.from(data.wrappedDataKey, 'base64'),
  };
}

const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
