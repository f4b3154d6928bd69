/** The tables of this room with encrypted columns. */
import type { EncryptedTable } from '../rotation/index.ts';
import { ACCOUNT_ADDRESSES } from './addresses.ts';
import { UPSTREAM_LINKS } from './federation/federation.ts';
import { IDENTIFIERS } from './accounts.ts';
import { CROSS_DEVICE_REQUESTS } from './credentials/cross-device.ts';
import { ONE_TIME_CODES } from './credentials/one-time-codes.ts';
import { PASSKEYS } from './credentials/passkeys.ts';
import { TOTP_CREDENTIALS } from './credentials/totp.ts';
import { MESSAGE_OUTBOX } from './messages/messages.ts';
import { RELATION_KEYS } from './proofing/relations.ts';
import { VERIFIED_DOCUMENTS } from './proofing/verified-documents.ts';
import { PROOFING_ATTEMPTS } from './proofing/proofing.ts';
import { KNOWN_DEVICES } from './protection/devices.ts';

export const IDENTITY_TABLES: readonly EncryptedTable[] = [
  IDENTIFIERS,
  TOTP_CREDENTIALS,
  PASSKEYS,
  CROSS_DEVICE_REQUESTS,
  ONE_TIME_CODES,
  VERIFIED_DOCUMENTS,
  RELATION_KEYS,
  PROOFING_ATTEMPTS,
  ACCOUNT_ADDRESSES,
  UPSTREAM_LINKS,
  KNOWN_DEVICES,
  MESSAGE_OUTBOX,
];
