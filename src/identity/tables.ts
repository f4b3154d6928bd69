/** The tables of this room with encrypted columns. */
import type { EncryptedTable } from '../rotation/index.ts';
import { IDENTIFIERS } from './accounts.ts';
import { PASSKEYS } from './credentials/passkeys.ts';
import { TOTP_CREDENTIALS } from './credentials/totp.ts';
import { MESSAGE_OUTBOX } from './messages/messages.ts';
import { KNOWN_DEVICES } from './protection/devices.ts';

export const IDENTITY_TABLES: readonly EncryptedTable[] = [
  IDENTIFIERS,
  TOTP_CREDENTIALS,
  PASSKEYS,
  KNOWN_DEVICES,
  MESSAGE_OUTBOX,
];
