/** The tables of this room with encrypted columns. */
import type { EncryptedTable } from '../rotation/index.ts';
import { BACKCHANNEL_REQUESTS } from './backchannel.ts';

export const OIDC_TABLES: readonly EncryptedTable[] = [BACKCHANNEL_REQUESTS];
