/**
 * One-time codes by text message and e-mail (NIST SP 800-63B-4, section 3.1.3): digits that are good once, for one purpose, in the browser
 * that asked for them. To an address that has no account everything is done alike, and nothing is sent.
 */
import { createHash, createHmac, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import { createBlindIndex, createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { only, type Db, type Transaction } from '../../platform/db/db.ts';
import type { AccountId } from '../../platform/ids.ts';
import { deriveKeys } from '../../platform/secrets.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import { IdentityError } from '../errors.ts';
import type { Address } from '../messages/address.ts';
import type { MessageSender } from '../messages/messages.ts';
import type { MessageKind } from '../messages/texts.ts';
import type { Showing } from './showing.ts';

export type CodePurpose = keyof typeof PURPOSES;

/**
 * What each purpose takes. Codes that strangers can ask for and those for which something was shown first are counted apart: no stranger
 * can use up the codes of somebody's second factor.
 */
const PURPOSES = {
  'sign-in': { digits: 6, audience: 'stranger', message: 'signInCode' },
  verify: { digits: 6, audience: 'stranger', message: 'verifyCode' },
  // It opens an account whose password is forgotten: a hundred times harder to guess.
  recovery: { digits: 8, audience: 'stranger', message: 'recoveryCode' },
  'second-factor': { digits: 6, audience: 'holder', message: 'secondFactorCode' },
  change: { digits: 6, audience: 'holder', message: 'changeCode' },
} as const satisfies Record<
  string,
  { digits: number; audience: 'stranger' | 'holder'; message: MessageKind }
>;

/** Of one code. With the pauses below, somebody who guesses gets at most fifty tries a day at an address. */
const ATTEMPTS = 5;
const VALID_MINUTES = 10;
/** Seconds until an address may be sent another code, by codes sent within a day. */
const PAUSES = [30, 60, 120, 300, 600, 900, 1800, 3600, 3600, 86_400];
const DAY_MS = 86_400_000;

export interface CodeRequest {
  readonly purpose: CodePurpose;
  /** Where alone the code is good: a secret of the browser, such as the id of its interaction. */
  readonly binding: string;
  readonly to: Address;
  /** Whom the code will speak for, if anybody. */
  readonly accountId: AccountId | undefined;
  /** What is sent: the code; another message in its place; nothing, as to an address without an account. A code that was not sent fits nothing. */
  readonly message: 'code' | 'nothing' | MessageKind;
  /** BCP 47 tag of a catalogue. */
  readonly language: string;
  /** Whether it is asked for from a device that the account knows: then strangers have used up none of its codes. */
  readonly knownDevice?: boolean;
}

export interface Sending {
  /** Whether it was done. If not, the address was sent a code too recently, and one that was sent in this place before stays good. */
  readonly sent: boolean;
  /** From when another may be asked for. */
  readonly resendAt: Date;
}

export interface CodeAttempt {
  readonly purpose: CodePurpose;
  readonly binding: string;
  readonly code: string;
}

export interface OneTimeCodes {
  /** Makes a code, in place of any that was made for the same purpose in the same place, and sends it in the background. */
  send(request: CodeRequest, tx?: Transaction): Promise<Sending>;
  /**
   * Checks the code of an account. Each is good once: of any number who send it at once one gets through. Every attempt is counted before
   * it is looked at.
   * @throws {IdentityError} CODE_WRONG; CODE_OVER: used, expired, tried too often or never sent: a new one is needed.
   */
  check(attempt: CodeAttempt): Promise<Showing>;
  /** Checks a code likewise that speaks for nobody yet. @returns the address that it was sent to. */
  verify(attempt: CodeAttempt): Promise<Address>;
}

interface Recipient {
  readonly to: Address;
  readonly accountId?: AccountId;
}

/** How codes lie in the database. */
export const ONE_TIME_CODES = {
  table: 'one_time_codes',
  key: { slot: 'bytea' },
  values: { recipient: { purpose: 'one-time-code', context: ({ slot }) => slot?.replace(/^\\x/, '') } },
} as const satisfies EncryptedTable;

export function createOneTimeCodes(parts: {
  db: Db;
  clock: Clock;
  dataKeys: DataKeys;
  messages: MessageSender;
}): OneTimeCodes {
  const { db, clock, messages } = parts;
  const cipher = createCipher(parts.dataKeys, ONE_TIME_CODES.values.recipient.purpose);
  const indexOf = createBlindIndex(parts.dataKeys, 'one-time-code-address');
  // A million codes are tried in no time: only a key keeps a stolen digest from being read.
  const keys = deriveKeys(parts.dataKeys, 'one-time-code-digest');
  const digestsOf = (slot: Buffer, code: string) =>
    keys.map((key) => createHmac('sha256', key).update(slot).update(code).digest());

  /** Counts a sending to an address, unless it comes too soon after the one before. */
  async function mayBeSent(tx: Transaction, { to, purpose, knownDevice }: CodeRequest): Promise<Sending> {
    const now = clock.now();
    const address = indexOf.current(`${to.channel}:${to.value}`);
    const audience = knownDevice === true ? 'holder' : PURPOSES[purpose].audience;
    const [counted] = await tx.query<{ next_at: Date }>(
      `INSERT INTO one_time_code_pauses AS p (address, audience, sent, since, next_at)
         VALUES ($1, $2, 1, $3, $3::timestamptz + make_interval(secs => ($5::int[])[1]))
       ON CONFLICT (address, audience) DO UPDATE SET
         sent = CASE WHEN p.since <= $4 THEN 1 ELSE p.sent + 1 END,
         since = CASE WHEN p.since <= $4 THEN $3 ELSE p.since END,
         next_at = $3::timestamptz + make_interval(secs =>
           ($5::int[])[CASE WHEN p.since <= $4 THEN 1 ELSE LEAST(p.sent + 1, array_length($5::int[], 1)) END])
       WHERE p.next_at <= $3 RETURNING next_at`,
      [address, audience, now, new Date(now.getTime() - DAY_MS), PAUSES],
    );
    if (counted) return { sent: true, resendAt: counted.next_at };
    const { next_at: resendAt } = only(
      await tx.query<{ next_at: Date }>(
        'SELECT next_at FROM one_time_code_pauses WHERE address = $1 AND audience = $2',
        [address, audience],
      ),
    );
    return { sent: false, resendAt };
  }

  async function sendIn(tx: Transaction, request: CodeRequest): Promise<Sending> {
    const sending = await mayBeSent(tx, request);
    if (!sending.sent) return sending;
    const { purpose, to, accountId, language } = request;
    const { digits, message } = PURPOSES[purpose];
    const now = clock.now();
    const expiresAt = new Date(now.getTime() + VALID_MINUTES * 60_000);
    const slot = slotOf(request);
    const code = String(randomInt(10 ** digits)).padStart(digits, '0');
    const [digest] = digestsOf(slot, code);
    const recipient: Recipient = { to, ...(accountId === undefined ? {} : { accountId }) };
    await tx.query(
      `INSERT INTO one_time_codes (slot, digest, recipient, attempts, created_at, expires_at)
         VALUES ($1, $2, $3, 0, $4, $5)
       ON CONFLICT (slot) DO UPDATE SET digest = EXCLUDED.digest, recipient = EXCLUDED.recipient, attempts = 0,
         created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at`,
      [
        slot,
        request.message === 'code' ? digest : randomBytes(32),
        cipher.encrypt(Buffer.from(JSON.stringify(recipient)), slot.toString('hex')),
        now,
        expiresAt,
      ],
    );
    await messages.send(
      {
        channel: to.channel,
        to: request.message === 'nothing' ? undefined : to.value,
        kind: request.message === 'code' || request.message === 'nothing' ? message : request.message,
        language,
        parameters: request.message === 'code' ? { code, minutes: VALID_MINUTES } : {},
        ...(request.message === 'code' ? { expiresAt } : {}),
      },
      tx,
    );
    await sweep(tx, now);
    return sending;
  }

  /** Takes out a few of what has long been over, at every sending. */
  async function sweep(tx: Transaction, now: Date): Promise<void> {
    await tx.query(
      `DELETE FROM one_time_codes WHERE slot IN (
         SELECT slot FROM one_time_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT 5 FOR UPDATE SKIP LOCKED)`,
      [now],
    );
    await tx.query(
      `DELETE FROM one_time_code_pauses WHERE (address, audience) IN (
         SELECT address, audience FROM one_time_code_pauses WHERE since < $1 AND next_at < $2
          ORDER BY since LIMIT 5 FOR UPDATE SKIP LOCKED)`,
      [new Date(now.getTime() - DAY_MS), now],
    );
  }

  async function take(attempt: CodeAttempt): Promise<Recipient> {
    const code = attempt.code.normalize('NFKC').replaceAll(/[\s-]/g, '');
    if (!/^\d{4,10}$/.test(code)) throw wrong();
    const slot = slotOf(attempt);
    const [row] = await db.query<{ digest: Uint8Array; recipient: Uint8Array }>(
      `UPDATE one_time_codes SET attempts = attempts + 1
        WHERE slot = $1 AND expires_at > $2 AND attempts < $3 RETURNING digest, recipient`,
      [slot, clock.now(), ATTEMPTS],
    );
    if (!row) throw over();
    const fits = digestsOf(slot, code).map((digest) => timingSafeEqual(digest, row.digest));
    if (!fits.includes(true)) throw wrong();
    const taken = await db.query(
      'DELETE FROM one_time_codes WHERE slot = $1 AND digest = $2 RETURNING slot',
      [slot, row.digest],
    );
    if (taken.length === 0) throw over();
    return JSON.parse(
      Buffer.from(cipher.decrypt(row.recipient, slot.toString('hex'))).toString('utf8'),
    ) as Recipient;
  }

  return {
    send: (request, tx) => (tx ? sendIn(tx, request) : db.transaction((own) => sendIn(own, request))),
    async check(attempt) {
      const { to, accountId } = await take(attempt);
      if (accountId === undefined) throw wrong();
      return { accountId, method: to.channel, at: clock.now() };
    },
    async verify(attempt) {
      return (await take(attempt)).to;
    },
  };
}

/** The binding is long and random, so its digest needs no key. */
function slotOf({ purpose, binding }: { purpose: CodePurpose; binding: string }): Buffer {
  return createHash('sha256').update(`${purpose}:${binding}`).digest();
}

function wrong(): IdentityError {
  return new IdentityError('CODE_WRONG', 'The code is not right.');
}

function over(): IdentityError {
  return new IdentityError('CODE_OVER', 'The code is not valid any more; a new one is needed.');
}
