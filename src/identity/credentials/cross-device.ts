/**
 * Signing in on one device by approving on another: a code on a screen that one phone opens, within a minute, and where the person types a
 * number that only the screen shows. Whoever sends on a picture of the code to other people (relay phishing) has to make them type that
 * number too, on a page that tells them which portal and which network they let in.
 */
import { createHash, createHmac, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import type { AuditLog } from '../../audit/index.ts';
import { createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import type { Db } from '../../platform/db/db.ts';
import { isId, newId, type AccountId, type Id } from '../../platform/ids.ts';
import { deriveKeys } from '../../platform/secrets.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import { methodsOf, type Factors } from '../assurance.ts';
import { IdentityError } from '../errors.ts';
import type { Showing } from './showing.ts';

/** How long a code may be opened after it was shown, in seconds. */
export const CODE_SECONDS = 60;
/** How long the person may take to sign in on the phone and decide, and then the screen to go on, in seconds. */
export const DECISION_SECONDS = 300;

/** Where a request comes from. */
export interface Place {
  /** Internet address of the browser that shows the code. */
  readonly address: string;
  /** What that browser says it is, as `User-Agent` has it. */
  readonly userAgent: string;
}

/** What the browser with the code shows. */
export type CrossDeviceStanding =
  | { readonly state: 'waiting'; readonly token: string; readonly expiresAt: Date }
  /** A phone has opened the code: the person reads the number here and types it there. */
  | { readonly state: 'opened'; readonly number: number; readonly expiresAt: Date }
  | { readonly state: 'approved' | 'refused' | 'mismatched' | 'over' };

/** What the phone shows. */
export interface CrossDeviceQuestion {
  readonly id: Id<'xdr'>;
  readonly clientId: string;
  readonly place: Place;
  readonly startedAt: Date;
}

/** What was decided on the phone. */
export interface CrossDeviceAnswer {
  /** What `open` gave to the phone. */
  readonly handle: string;
  /** The request that the person has seen: `id` of the question. */
  readonly id: string;
  readonly accountId: string;
}

export interface CrossDevice {
  /** Begins a request, in the place of one that the same browser began before. @param request.binding Known to this browser alone. */
  begin(request: { binding: string; clientId: string; place: Place }): Promise<void>;
  /** How the request of a browser stands; undefined: it has begun none. */
  standing(binding: string): Promise<CrossDeviceStanding | undefined>;
  /**
   * Opens a code: of any number of phones exactly one gets what it then needs to ask and to answer.
   * @throws {IdentityError} CROSS_DEVICE_OVER: unknown, too old, or opened before.
   */
  open(token: string): Promise<string>;
  /** What is asked of the person who is signed in on the phone. Whoever sees it first is the one who may answer. */
  question(handle: string, accountId: string): Promise<CrossDeviceQuestion | undefined>;
  /** @throws {IdentityError} CROSS_DEVICE_OVER */
  refuse(answer: CrossDeviceAnswer): Promise<void>;
  /**
   * Approves, if the number is the one on the screen. A wrong one ends the request: there is one try.
   * @param answer.factors What the person has shown on the phone.
   * @returns whether the number was right.
   * @throws {IdentityError} CROSS_DEVICE_OVER
   */
  approve(answer: CrossDeviceAnswer & { number: number; factors: Factors }): Promise<boolean>;
  /**
   * Takes the approval for the browser that began the request: of any number of callers exactly one gets it.
   * @returns what was shown on the phone, each with its own time, and that it came from there (`mca`).
   * @throws {IdentityError} CROSS_DEVICE_OVER
   */
  finish(binding: string): Promise<Showing[]>;
}

const HANDLE_BYTES = 32;
const MAC_BYTES = 16;
/** Requests that are over are kept for this long, so that browsers can still say what became of them. Seconds. */
const KEPT = 3600;

const digest = (text: string) => createHash('sha256').update(text).digest();

/**
 * What the phone has shown, as it counts on the other device. Its times stay, so that nothing gets fresher on the way. A key in hardware
 * was not shown to the device that is signed in: it counts as any passkey.
 */
export function carriedFactors(factors: Factors): Factors {
  const { hwk, mca: _, ...others } = factors;
  if (hwk === undefined) return others;
  return { ...others, swk: Math.max(hwk, factors.swk ?? 0) };
}

/** How requests lie in the database. */
export const CROSS_DEVICE_REQUESTS = {
  table: 'cross_device_requests',
  key: { id: 'text' },
  values: { place: { purpose: 'field/cross-device-place', context: (row) => row['id'] } },
} as const satisfies EncryptedTable;

export function createCrossDevice(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
}): CrossDevice {
  const { db, clock, audit } = parts;
  const cipher = createCipher(parts.dataKeys, CROSS_DEVICE_REQUESTS.values.place.purpose);
  // The token is the request's id with a proof that we made it: it can be shown again and lies nowhere.
  const keys = deriveKeys(parts.dataKeys, 'cross-device-token');
  const macOf = (id: string, key = keys[0]) =>
    createHmac('sha256', key).update(id).digest().subarray(0, MAC_BYTES);

  function idIn(token: string): Id<'xdr'> | undefined {
    const [id, text = '', ...rest] = token.split('.');
    const mac = Buffer.from(text, 'base64url');
    if (!isId('xdr', id) || rest.length > 0 || mac.length !== MAC_BYTES) return undefined;
    return keys.some((key) => timingSafeEqual(mac, macOf(id, key))) ? id : undefined;
  }

  function inSeconds(seconds: number): Date {
    return new Date(clock.now().getTime() + seconds * 1000);
  }

  return {
    async begin({ binding, clientId, place }) {
      const now = clock.now();
      const id = newId('xdr', now);
      await db.query('DELETE FROM cross_device_requests WHERE binding = $1 OR expires_at < $2', [
        digest(binding),
        inSeconds(-KEPT),
      ]);
      await db.query(
        `INSERT INTO cross_device_requests (id, binding, client_id, number, place, state, created_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7)`,
        [
          id,
          digest(binding),
          clientId,
          randomInt(10, 100),
          cipher.encrypt(Buffer.from(JSON.stringify(place)), id),
          now,
          inSeconds(CODE_SECONDS),
        ],
      );
    },

    async standing(binding) {
      const [row] = await db.query<{ id: string; number: number; state: string; expires_at: Date }>(
        'SELECT id, number, state, expires_at FROM cross_device_requests WHERE binding = $1 ORDER BY id DESC LIMIT 1',
        [digest(binding)],
      );
      if (!row) return undefined;
      const expiresAt = row.expires_at;
      switch (row.state) {
        case 'refused':
        case 'mismatched':
          return { state: row.state };
        case 'waiting':
        case 'opened':
        case 'approved':
          if (expiresAt <= clock.now()) return { state: 'over' };
          if (row.state === 'approved') return { state: 'approved' };
          return row.state === 'opened'
            ? { state: 'opened', number: row.number, expiresAt }
            : { state: 'waiting', token: `${row.id}.${macOf(row.id).toString('base64url')}`, expiresAt };
        default:
          return { state: 'over' };
      }
    },

    async open(token) {
      const id = idIn(token);
      const handle = randomBytes(HANDLE_BYTES).toString('base64url');
      const opened =
        id === undefined
          ? []
          : await db.query(
              `UPDATE cross_device_requests SET state = 'opened', handle = $2, expires_at = $3
                WHERE id = $1 AND state = 'waiting' AND expires_at > $4 RETURNING id`,
              [id, digest(handle), inSeconds(DECISION_SECONDS), clock.now()],
            );
      if (opened.length === 0) throw over();
      return handle;
    },

    async question(handle, accountId) {
      const [row] = await db.query<{
        id: Id<'xdr'>;
        client_id: string;
        place: Uint8Array;
        created_at: Date;
      }>(
        `UPDATE cross_device_requests SET account_id = $2
          WHERE handle = $1 AND state = 'opened' AND expires_at > $3 AND (account_id IS NULL OR account_id = $2)
          RETURNING id, client_id, place, created_at`,
        [digest(handle), accountId, clock.now()],
      );
      return (
        row && {
          id: row.id,
          clientId: row.client_id,
          place: JSON.parse(Buffer.from(cipher.decrypt(row.place, row.id)).toString('utf8')) as Place,
          startedAt: row.created_at,
        }
      );
    },

    async refuse({ handle, id, accountId }) {
      await db.transaction(async (tx) => {
        const [row] = await tx.query<{ client_id: string }>(
          `UPDATE cross_device_requests SET state = 'refused'
            WHERE handle = $1 AND id = $2 AND account_id = $3 AND state = 'opened' AND expires_at > $4
            RETURNING client_id`,
          [digest(handle), id, accountId, clock.now()],
        );
        if (!row) throw over();
        await audit.record(tx, {
          type: 'cross-device.refused',
          actor: accountId,
          subject: accountId,
          detail: { clientId: row.client_id },
        });
      });
    },

    async approve({ handle, id, accountId, number, factors }) {
      return db.transaction(async (tx) => {
        // One statement judges the number and decides, so that of many tries at once the first is the only one.
        const [row] = await tx.query<{ client_id: string; state: 'approved' | 'mismatched' }>(
          `UPDATE cross_device_requests
              SET state = CASE WHEN number = $4 THEN 'approved' ELSE 'mismatched' END, factors = $5, expires_at = $6
            WHERE handle = $1 AND id = $2 AND account_id = $3 AND state = 'opened' AND expires_at > $7
            RETURNING client_id, state`,
          [
            digest(handle),
            id,
            accountId,
            number,
            JSON.stringify(carriedFactors(factors)),
            inSeconds(DECISION_SECONDS),
            clock.now(),
          ],
        );
        if (!row) throw over();
        await audit.record(tx, {
          type: row.state === 'approved' ? 'cross-device.approved' : 'cross-device.mismatched',
          actor: accountId,
          subject: accountId,
          detail: { clientId: row.client_id },
        });
        return row.state === 'approved';
      });
    },

    async finish(binding) {
      const at = clock.now();
      const [row] = await db.query<{ account_id: AccountId; factors: Factors }>(
        `UPDATE cross_device_requests r SET state = 'used' FROM accounts a
          WHERE r.binding = $1 AND r.state = 'approved' AND r.expires_at > $2
            AND a.id = r.account_id AND a.state = 'active'
          RETURNING r.account_id, r.factors`,
        [digest(binding), at],
      );
      if (!row) throw over();
      const { account_id: accountId, factors } = row;
      return [
        ...methodsOf(factors).map((method) => ({
          accountId,
          method,
          at: new Date((factors[method] ?? 0) * 1000),
        })),
        { accountId, method: 'mca', at },
      ];
    },
  };
}

function over(): IdentityError {
  return new IdentityError(
    'CROSS_DEVICE_OVER',
    'This request is over: it was decided, opened elsewhere, or expired.',
  );
}
