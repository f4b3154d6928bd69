/** One-time passwords by time (RFC 6238), as authenticator apps make them: SHA-1, six digits, thirty seconds. */
import { Secret, TOTP } from 'otpauth';
import type { AuditLog } from '../../audit/index.ts';
import { createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { isUniqueViolation, type Db } from '../../platform/db/db.ts';
import type { AccountId } from '../../platform/ids.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import { IdentityError } from '../errors.ts';
import { removeFactor } from './remove-factor.ts';
import type { Showing } from './showing.ts';

/** Clocks of phones are off; one step either way is let pass (RFC 6238, section 5.2). */
const WINDOW = 1;
const PERIOD_SECONDS = 30;
/** RFC 4226, section 4, requirement 6: at least 128 bits, 160 are recommended. */
const SECRET_BYTES = 20;

export interface TotpSetup {
  /** Base 32, for those who type it. */
  readonly secret: string;
  /** `otpauth://totp/...`, for the QR code. */
  readonly uri: string;
}

export interface Totp {
  /** A new secret, which counts for nothing until `enrol` is given a code made with it. @param label What the app shows beside the service. */
  propose(label: string): TotpSetup;
  /** The same secret again as it is shown. @param secret What `propose` gave. */
  show(secret: string, label: string): TotpSetup;
  /**
   * Adds the factor to an account that has none of this kind, once a code shows that the app has the secret.
   * @throws {IdentityError} CODE_WRONG, FACTOR_EXISTS
   */
  enrol(enrolment: { accountId: AccountId; secret: string; code: string }): Promise<Showing>;
  /** Checks a code. Each is good once: of any number who send it at once one gets through. @throws {IdentityError} CODE_WRONG */
  check(attempt: { accountId: string; code: string }): Promise<Showing>;
  /** Takes the factor from an account. @returns whether there was one. */
  remove(accountId: string): Promise<boolean>;
}

/** How secrets lie in the database. */
export const TOTP_CREDENTIALS = {
  table: 'totp_credentials',
  key: { account_id: 'text' },
  values: { secret: { purpose: 'field/totp', context: (row) => row['account_id'] } },
} as const satisfies EncryptedTable;

export function createTotp(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
  /** Name of the service in the app. */
  issuerName: string;
}): Totp {
  const { db, clock, audit } = parts;
  const cipher = createCipher(parts.dataKeys, TOTP_CREDENTIALS.values.secret.purpose);

  function show(secret: string, label: string): TotpSetup {
    const totp = new TOTP({ issuer: parts.issuerName, label, secret: Secret.fromBase32(secret) });
    return { secret, uri: totp.toString() };
  }

  /** The time step that a code belongs to, if it is one of the secret's near the present. */
  function stepOf(secret: Secret, code: string): number | undefined {
    const token = code.normalize('NFKC').replaceAll(/\s/g, '');
    if (!/^\d{6}$/.test(token)) return undefined;
    const timestamp = clock.now().getTime();
    const delta = TOTP.validate({ token, secret, timestamp, window: WINDOW, period: PERIOD_SECONDS });
    return delta === null ? undefined : Math.floor(timestamp / 1000 / PERIOD_SECONDS) + delta;
  }

  const wrong = () => new IdentityError('CODE_WRONG', 'The code is not right, or was used already.');

  return {
    propose: (label) => show(new Secret({ size: SECRET_BYTES }).base32, label),
    show,

    async enrol({ accountId, secret, code }) {
      const shared = Secret.fromBase32(secret);
      const step = stepOf(shared, code);
      if (step === undefined) throw wrong();
      const at = clock.now();
      try {
        await db.transaction(async (tx) => {
          await tx.query(
            'INSERT INTO totp_credentials (account_id, secret, last_step, created_at) VALUES ($1, $2, $3, $4)',
            [accountId, cipher.encrypt(shared.bytes, accountId), step, at],
          );
          await audit.record(tx, {
            type: 'account.factor-added',
            actor: accountId,
            subject: accountId,
            detail: { method: 'otp' },
          });
        });
      } catch (cause) {
        if (isUniqueViolation(cause))
          throw new IdentityError('FACTOR_EXISTS', 'The account has an authenticator app already.', {
            cause,
          });
        throw cause;
      }
      return { accountId, method: 'otp', at };
    },

    async check({ accountId, code }) {
      const [row] = await db.query<{ account_id: AccountId; secret: Uint8Array }>(
        `SELECT t.account_id, t.secret FROM totp_credentials t
           JOIN accounts a ON a.id = t.account_id AND a.state = 'active' WHERE t.account_id = $1`,
        [accountId],
      );
      if (!row) throw wrong();
      const bytes = cipher.decrypt(row.secret, row.account_id);
      const step = stepOf(new Secret({ buffer: new Uint8Array(bytes).buffer }), code);
      if (step === undefined) throw wrong();
      const taken = await db.query(
        'UPDATE totp_credentials SET last_step = $2 WHERE account_id = $1 AND last_step < $2 RETURNING account_id',
        [accountId, step],
      );
      if (taken.length === 0) throw wrong();
      return { accountId: row.account_id, method: 'otp', at: clock.now() };
    },

    remove: (accountId) => removeFactor(parts, accountId, 'otp'),
  };
}
