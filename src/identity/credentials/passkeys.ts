/**
 * Passkeys: discoverable credentials with user verification (Web Authentication Level 3), so that a person signs in without a user name.
 * Whatever is wrong with an answer of an authenticator, the person is told the same.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
  type AuthenticationResponseJSON,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
} from '@simplewebauthn/server';
import { COSEALG, decodeAttestationObject } from '@simplewebauthn/server/helpers';
import { z } from 'zod';
import type { AuditLog } from '../../audit/index.ts';
import { buildPath, parseCertificate, pemToDer, type Certificate } from '../../pki/index.ts';
import { createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { isUniqueViolation, only, type Db } from '../../platform/db/db.ts';
import type { AccountId } from '../../platform/ids.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import type { Accounts } from '../accounts.ts';
import { FIRST_FACTORS } from '../assurance.ts';
import { IdentityError } from '../errors.ts';
import type { Showing } from './showing.ts';
import { createPasskeyChallenges, type ChallengePurpose, type TakeOnce } from './passkey-challenges.ts';

/** Most passkeys of one account. */
export const PASSKEYS_MAX = 20;
export const PASSKEY_NAME_MAX_LENGTH = 60;

export interface Passkey {
  /** Digest of the credential id, 64 hex signs. */
  readonly id: string;
  /** The person's own word for it. */
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | undefined;
  /** Whether the key stays in one authenticator, rather than being synced between devices. */
  readonly deviceBound: boolean;
  /** Since when it signs nobody in, because its counter said that there is a copy of it. */
  readonly suspendedAt: Date | undefined;
}

export interface Passkeys {
  /**
   * What the browser needs to make a passkey.
   * @param request.binding What ties the ceremony to this browser; see `ChallengePurpose`.
   * @param request.userName What authenticators list the passkey under: the person reads it there.
   */
  registrationOptions(request: {
    accountId: string;
    binding: string;
    userName: string;
  }): Promise<PublicKeyCredentialCreationOptionsJSON>;
  /**
   * Keeps a new passkey. Whoever makes one has shown it at the same time.
   * @param registration.response The authenticator's answer, JSON as of `PublicKeyCredential.toJSON()`.
   * @throws {IdentityError} PASSKEY_REFUSED, PASSKEY_NAME, PASSKEY_LIMIT.
   */
  register(registration: {
    accountId: string;
    binding: string;
    response: string;
    name: string;
  }): Promise<{ passkey: Passkey; showing: Showing }>;
  /** What the browser needs to use a passkey: any, or one of an account that is known already. */
  authenticationOptions(request: {
    binding: string;
    accountId?: string | undefined;
  }): Promise<PublicKeyCredentialRequestOptionsJSON>;
  /**
   * Checks a passkey that was used. The method is `hwk` only where a trusted maker's attestation says that the key is kept in hardware, and it
   * cannot leave (RFC 8176, section 2); any other is `swk`.
   * @param attempt.accountId Whose it must be, as in a step-up. Without it, the passkey says who its owner is.
   * @throws {IdentityError} PASSKEY_REFUSED, whatever the reason.
   */
  authenticate(attempt: {
    binding: string;
    response: string;
    accountId?: string | undefined;
  }): Promise<Showing>;
  /** The passkeys of an account, oldest first. */
  list(accountId: string): Promise<Passkey[]>;
  /** @throws {IdentityError} PASSKEY_NAME, PASSKEY_NOT_FOUND. */
  rename(accountId: string, id: string, name: string): Promise<void>;
  /** @throws {IdentityError} PASSKEY_NOT_FOUND; LAST_WAY_IN: with it the person would lose the only way to sign in. */
  remove(accountId: string, id: string): Promise<void>;
}

interface Row {
  readonly credential_id: Uint8Array;
  readonly name: Uint8Array;
  readonly transports: string[];
  readonly created_at: Date;
  readonly last_used_at: Date | null;
  readonly device_bound: boolean;
  readonly suspended_at: Date | null;
}

const COLUMNS = 'credential_id, name, transports, created_at, last_used_at, device_bound, suspended_at';
const USER_HANDLE_BYTES = 32;
const ALGORITHMS = [COSEALG.ES256, COSEALG.EdDSA, COSEALG.RS256];
const CEREMONY_MS = 300_000;

/** Bounds of what an authenticator sends; the largest attestations are a few thousand octets. */
const base64url = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[\w-]+$/);
const credential = {
  // Credential ids have at most 1023 octets (Web Authentication Level 3, section 4).
  id: base64url(1364),
  rawId: base64url(1364),
  type: z.literal('public-key'),
};
const registrationResponse = z.object({
  ...credential,
  response: z.object({
    clientDataJSON: base64url(4096),
    attestationObject: base64url(12_000),
    transports: z.array(z.string().max(20)).max(10).default([]),
  }),
  clientExtensionResults: z.object({ credProps: z.object({ rk: z.boolean().optional() }).optional() }),
});
const authenticationResponse = z.object({
  ...credential,
  response: z.object({
    clientDataJSON: base64url(4096),
    authenticatorData: base64url(4096),
    signature: base64url(2048),
    userHandle: base64url(128).nullish(),
  }),
});
const clientData = z.object({ challenge: base64url(128), crossOrigin: z.boolean().optional() });

const idOf = (credentialId: Uint8Array) => createHash('sha256').update(credentialId).digest('hex');
/** How passkeys lie in the database. */
export const PASSKEYS = {
  table: 'passkeys',
  key: { credential_id: 'bytea' },
  reads: ['account_id'],
  values: { name: { purpose: 'field/passkey-name', context: (row) => row['account_id'] } },
} as const satisfies EncryptedTable;

const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');

/**
 * @param parts.serviceName What browsers call this service while a passkey is made.
 * @param parts.authorities Certificates (PEM) of makers that keep keys in hardware. Without any, no attestation is asked for.
 */
export function createPasskeys(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
  accounts: Pick<Accounts, 'lock'>;
  takeOnce: TakeOnce;
  issuer: string;
  serviceName: string;
  authorities: string | undefined;
}): Passkeys {
  const { db, clock, audit, issuer, accounts } = parts;
  // A passkey is good for this host and no other, and only pages of this very origin may use it.
  const rpID = new URL(issuer).hostname;
  const cipher = createCipher(parts.dataKeys, PASSKEYS.values.name.purpose);
  const challenges = createPasskeyChallenges({
    clock,
    dataKeys: parts.dataKeys,
    takeOnce: parts.takeOnce,
  });
  const authorities =
    parts.authorities === undefined
      ? []
      : pemToDer('CERTIFICATE', parts.authorities).map((der) => parseCertificate(der));

  async function rowsOf(accountId: string): Promise<Row[]> {
    return db.query<Row>(
      `SELECT ${COLUMNS} FROM passkeys WHERE account_id = $1 ORDER BY created_at, credential_id`,
      [accountId],
    );
  }

  function toPasskey(accountId: string, row: Row): Passkey {
    return {
      id: idOf(row.credential_id),
      name: Buffer.from(cipher.decrypt(row.name, accountId)).toString('utf8'),
      createdAt: row.created_at,
      lastUsedAt: row.last_used_at ?? undefined,
      deviceBound: row.device_bound,
      suspendedAt: row.suspended_at ?? undefined,
    };
  }

  /** The account's own number for authenticators: random, so that it says nothing to whoever reads it there. */
  async function userHandleOf(accountId: string): Promise<Uint8Array<ArrayBuffer>> {
    await db.query('UPDATE accounts SET user_handle = $2 WHERE id = $1 AND user_handle IS NULL', [
      accountId,
      randomBytes(USER_HANDLE_BYTES),
    ]);
    const rows = await db.query<{ user_handle: Uint8Array }>(
      'SELECT user_handle FROM accounts WHERE id = $1',
      [accountId],
    );
    return Uint8Array.from(only(rows).user_handle);
  }

  /** Takes the challenge that an authenticator has signed. @returns it, as it stands in the client data. */
  async function takeChallenge(clientDataJSON: string, purpose: ChallengePurpose): Promise<string> {
    const { challenge, crossOrigin } = read(clientData, Buffer.from(clientDataJSON, 'base64url').toString());
    // Our pages stand in no frame: who says otherwise shows them in a place that we know nothing of.
    if (crossOrigin === true) throw refusal('it was used in a frame');
    if (!(await challenges.take(Buffer.from(challenge, 'base64url'), purpose)))
      throw refusal('the challenge is not ours, too old, for something else, or used before');
    return challenge;
  }

  /** Whether a maker that is trusted has certified that the key is kept in hardware (Web Authentication Level 3, section 8.2). */
  function isAttested(attestationObject: Uint8Array<ArrayBuffer>): boolean {
    const decoded = decodeAttestationObject(attestationObject);
    // Formats beside `packed` have rules of their own on what a certificate says of the key's protection.
    if (authorities.length === 0 || decoded.get('fmt') !== 'packed') return false;
    const [leaf, ...intermediates] = parseAll(decoded.get('attStmt').get('x5c') ?? []);
    return leaf !== undefined && buildPath(leaf, intermediates, authorities, clock.now()).ok;
  }

  /** No key that shows a counter which has been seen before is alone. */
  async function suspend(credentialId: Uint8Array, accountId: string): Promise<void> {
    await db.transaction(async (tx) => {
      const rows = await tx.query(
        'UPDATE passkeys SET suspended_at = $2 WHERE credential_id = $1 AND suspended_at IS NULL RETURNING account_id',
        [credentialId, clock.now()],
      );
      if (rows.length === 0) return;
      await audit.record(tx, {
        type: 'passkey.suspended',
        actor: 'system',
        subject: accountId,
        detail: { passkey: idOf(credentialId), reason: 'counter' },
      });
    });
  }

  return {
    async registrationOptions({ accountId, binding, userName }) {
      const [userID, rows] = [await userHandleOf(accountId), await rowsOf(accountId)];
      return generateRegistrationOptions({
        rpName: parts.serviceName,
        rpID,
        userID,
        userName,
        userDisplayName: userName,
        challenge: challenges.make({ ceremony: 'create', binding, accountId }),
        timeout: CEREMONY_MS,
        // Browsers ask people for leave to tell the maker: only where somebody would judge it.
        attestationType: authorities.length > 0 ? 'direct' : 'none',
        excludeCredentials: rows.map((row) => ({
          id: encode(row.credential_id),
          transports: row.transports,
        })),
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        supportedAlgorithmIDs: ALGORITHMS,
      });
    },

    async register({ accountId, binding, response: text, name: given }) {
      const name = toName(given);
      const response = read(registrationResponse, text);
      const challenge = await takeChallenge(response.response.clientDataJSON, {
        ceremony: 'create',
        binding,
        accountId,
      });
      const { registrationInfo: made } = await checked(() =>
        verifyRegistrationResponse({
          response: response as RegistrationResponseJSON,
          expectedChallenge: challenge,
          expectedOrigin: issuer,
          expectedRPID: rpID,
          expectedType: 'webauthn.create',
          requireUserVerification: true,
          supportedAlgorithmIDs: ALGORITHMS,
        }),
      );
      if (!made) throw refusal('the attestation does not verify');
      // One that must be told whose it is could not be used without a user name.
      if (response.clientExtensionResults.credProps?.rk === false) throw refusal('it is not discoverable');
      const deviceBound = made.credentialDeviceType === 'singleDevice';
      const attested = deviceBound && isAttested(Uint8Array.from(made.attestationObject));
      const row: Row = {
        credential_id: Buffer.from(made.credential.id, 'base64url'),
        name: cipher.encrypt(Buffer.from(name), accountId),
        transports: response.response.transports,
        created_at: clock.now(),
        last_used_at: null,
        device_bound: deviceBound,
        suspended_at: null,
      };
      let owner: AccountId;
      try {
        owner = await db.transaction(async (tx) => {
          // The account's row is the lock under which its passkeys are counted.
          const [active] = await tx.query<{ id: AccountId }>(
            `SELECT id FROM accounts WHERE id = $1 AND state = 'active' FOR UPDATE`,
            [accountId],
          );
          if (!active) throw refusal('the account is not active');
          const { n } = only(
            await tx.query<{ n: number }>('SELECT count(*) AS n FROM passkeys WHERE account_id = $1', [
              accountId,
            ]),
          );
          if (n >= PASSKEYS_MAX)
            throw new IdentityError('PASSKEY_LIMIT', `An account has at most ${PASSKEYS_MAX} passkeys.`);
          await tx.query(
            `INSERT INTO passkeys (credential_id, account_id, public_key, sign_count, device_bound, attested, transports, name, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
            [
              row.credential_id,
              accountId,
              made.credential.publicKey,
              made.credential.counter,
              deviceBound,
              attested,
              JSON.stringify(row.transports),
              row.name,
              row.created_at,
            ],
          );
          await audit.record(tx, {
            type: 'passkey.registered',
            actor: accountId,
            subject: accountId,
            detail: { passkey: idOf(row.credential_id), deviceBound, attested },
          });
          return active.id;
        });
      } catch (cause) {
        // Someone has this credential already: whoever says that it is theirs as well is not believed.
        if (isUniqueViolation(cause)) throw refusal('the credential is registered', cause);
        throw cause;
      }
      return {
        passkey: toPasskey(accountId, row),
        showing: showingOf(owner, { device_bound: deviceBound, attested }, row.created_at),
      };
    },

    async authenticationOptions({ binding, accountId }) {
      const rows = accountId === undefined ? [] : await rowsOf(accountId);
      return generateAuthenticationOptions({
        rpID,
        challenge: challenges.make({ ceremony: 'get', binding, accountId }),
        timeout: CEREMONY_MS,
        userVerification: 'required',
        ...(accountId === undefined
          ? {}
          : {
              allowCredentials: rows
                .filter((row) => row.suspended_at === null)
                .map((row) => ({ id: encode(row.credential_id), transports: row.transports })),
            }),
      });
    },

    async authenticate({ binding, response: text, accountId }) {
      const response = read(authenticationResponse, text);
      const { userHandle } = response.response;
      const challenge = await takeChallenge(response.response.clientDataJSON, {
        ceremony: 'get',
        binding,
        accountId,
      });
      const credentialId = Buffer.from(response.id, 'base64url');
      const [found] = await db.query<{
        account_id: AccountId;
        public_key: Uint8Array;
        device_bound: boolean;
        attested: boolean;
        user_handle: Uint8Array;
      }>(
        `SELECT p.account_id, p.public_key, p.device_bound, p.attested, a.user_handle FROM passkeys p
           JOIN accounts a ON a.id = p.account_id AND a.state = 'active'
          WHERE p.credential_id = $1 AND p.suspended_at IS NULL`,
        [credentialId],
      );
      if (!found) throw refusal('the credential is unknown, suspended, or of an account that is not active');
      if (accountId !== undefined && found.account_id !== accountId)
        throw refusal('the credential is of another account');
      // An authenticator that was not told which credential to use must say whose it is (section 7.2, step 6).
      const named =
        typeof userHandle === 'string' ? userHandle === encode(found.user_handle) : accountId !== undefined;
      if (!named) throw refusal('the user handle is not the one of the account');

      const { verified, authenticationInfo: info } = await checked(() =>
        verifyAuthenticationResponse({
          response: { clientExtensionResults: {}, ...response } as AuthenticationResponseJSON,
          expectedChallenge: challenge,
          expectedOrigin: issuer,
          expectedRPID: rpID,
          expectedType: 'webauthn.get',
          requireUserVerification: true,
          // The library would judge the counter before the signature; it is judged below, on a signature that holds.
          credential: { id: response.id, publicKey: Uint8Array.from(found.public_key), counter: 0 },
        }),
      );
      if (!verified) throw refusal('the signature does not verify');
      if ((info.credentialDeviceType === 'singleDevice') !== found.device_bound)
        throw refusal('whether the key can be backed up has changed');

      const at = clock.now();
      // Zero, before and now, is what authenticators without a counter say (section 6.1.1).
      const used = await db.query(
        `UPDATE passkeys SET sign_count = $2, last_used_at = $3
          WHERE credential_id = $1 AND suspended_at IS NULL AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))
          RETURNING account_id`,
        [credentialId, info.newCounter, at],
      );
      if (used.length === 0) {
        await suspend(credentialId, found.account_id);
        throw refusal('the counter has been seen before');
      }
      return showingOf(found.account_id, found, at);
    },

    async list(accountId) {
      return (await rowsOf(accountId)).map((row) => toPasskey(accountId, row));
    },

    async rename(accountId, id, given) {
      const name = cipher.encrypt(Buffer.from(toName(given)), accountId);
      await db.transaction(async (tx) => {
        const rows = await tx.query(
          `UPDATE passkeys SET name = $3
            WHERE account_id = $1 AND encode(sha256(credential_id), 'hex') = $2 RETURNING account_id`,
          [accountId, id, name],
        );
        if (rows.length === 0) throw notFound();
        await audit.record(tx, {
          type: 'passkey.renamed',
          actor: accountId,
          subject: accountId,
          detail: { passkey: id },
        });
      });
    },

    async remove(accountId, id) {
      await db.transaction(async (tx) => {
        // Two that are removed at once cannot each count on the other.
        await accounts.lock(tx, accountId);
        const removed = await tx.query<{ suspended_at: Date | null }>(
          `DELETE FROM passkeys WHERE account_id = $1 AND encode(sha256(credential_id), 'hex') = $2
            RETURNING suspended_at`,
          [accountId, id],
        );
        if (removed.length === 0) throw notFound();
        const left = await accounts.lock(tx, accountId);
        const others = left?.methods.some((method) => FIRST_FACTORS.has(method)) ?? false;
        // One that is suspended lets nobody in, and may go at any time.
        if (!others && only(removed).suspended_at === null)
          throw new IdentityError('LAST_WAY_IN', 'Without this passkey nobody could sign in to the account.');
        await audit.record(tx, {
          type: 'passkey.removed',
          actor: accountId,
          subject: accountId,
          detail: { passkey: id },
        });
      });
    },
  };
}

function showingOf(
  accountId: AccountId,
  key: { readonly device_bound: boolean; readonly attested: boolean },
  at: Date,
): Showing {
  return { accountId, method: key.device_bound && key.attested ? 'hwk' : 'swk', at };
}

function refusal(why: string, underneath?: unknown): IdentityError {
  const cause = new Error(why, { cause: underneath });
  return new IdentityError('PASSKEY_REFUSED', 'The passkey could not be accepted.', { cause });
}

function notFound(): IdentityError {
  return new IdentityError('PASSKEY_NOT_FOUND', 'There is no such passkey.');
}

/** @throws {IdentityError} PASSKEY_REFUSED: the text is not JSON of this shape. */
function read<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw refusal('it is not what an authenticator answers', cause);
  }
}

/** Runs a check of the library, which throws whatever it finds wrong. */
async function checked<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify();
  } catch (cause) {
    throw refusal('it does not verify', cause);
  }
}

/** Certificates as authenticators send them; none where one of them cannot be read. */
function parseAll(certificates: readonly Uint8Array[]): Certificate[] {
  try {
    return certificates.map((der) => parseCertificate(der));
  } catch {
    return [];
  }
}

/** @throws {IdentityError} PASSKEY_NAME: empty, too long, or with signs that nobody can read. */
function toName(text: string): string {
  const name = text.normalize('NFC').trim();
  if (
    name === '' ||
    [...name].length > PASSKEY_NAME_MAX_LENGTH ||
    /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(name)
  )
    throw new IdentityError('PASSKEY_NAME', `A name has 1 to ${PASSKEY_NAME_MAX_LENGTH} signs.`);
  return name;
}
