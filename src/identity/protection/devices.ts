/**
 * Devices and networks that an account knows. A device is a browser that holds a random token in a cookie; the database has its digest.
 * The token is replaced at each sign-in, so that a copied cookie is soon worth nothing, or the owner's own is and they are told of a new device.
 */
import { createHash } from 'node:crypto';
import type { AuditLog } from '../../audit/index.ts';
import { networkOf, parseAddress } from '../../platform/address.ts';
import { createBlindIndex, createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { only, type Db, type Queryable } from '../../platform/db/db.ts';
import { newId, type AccountId, type DeviceId } from '../../platform/ids.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import type { Account } from '../accounts.ts';
import type { Address } from '../messages/address.ts';
import type { MessageSender } from '../messages/messages.ts';
import { createDeviceCookie } from './device-cookie.ts';
import { deviceNameOf, type DeviceName } from './device-name.ts';
import type { Facts } from './risk.ts';

/** How a browser arrives. */
export interface Arrival {
  /** Value of the device cookie, if it brought one. */
  readonly cookie: string | undefined;
  /** Internet address, in its one spelling. */
  readonly address: string;
  /** Header `User-Agent`. */
  readonly userAgent: string;
  /** BCP 47 tag of the catalogue that its pages are in. */
  readonly language: string;
}

export interface KnownDevice extends DeviceName {
  readonly id: DeviceId;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
  /** Whether it is the one that asks. */
  readonly current: boolean;
}

export interface Devices {
  /** The device that a cookie belongs to, if the account knows it. Without an account nothing is known. */
  recognise(accountId: AccountId | undefined, cookie: string | undefined): Promise<DeviceId | undefined>;
  /** What is known of an arrival at an account that nobody is signed in to yet. */
  factsOf(accountId: AccountId, arrival: Arrival): Promise<Omit<Facts, 'failures'>>;
  /**
   * Remembers device and network, when a sign-in is finished. Of a device that is new the owner is told at every address that was shown to
   * be theirs, unless it is the first of all.
   * @param tx The transaction that records the sign-in.
   * @returns the device, whether the account knew it, and the cookie's new value; undefined: the browser has a newer one already.
   */
  remember(
    tx: Queryable,
    account: Account,
    arrival: Arrival,
  ): Promise<{ readonly id: DeviceId; readonly isNew: boolean; readonly cookie: string | undefined }>;
  /** The devices of an account, the last one used first. @param cookie That of the browser which asks. */
  list(accountId: AccountId, cookie: string | undefined): Promise<KnownDevice[]>;
  /** Forgets a device of the account: it is a new one when it comes again. @returns whether there was such a device. */
  forget(accountId: AccountId, deviceId: string): Promise<boolean>;
}

/** Far enough to survive the addresses that one provider gives a household, near enough to tell countries apart. */
const NETWORK = { ipv4: 16, ipv6: 48 };
/** Most devices and networks of an account that are kept; the longest unused give way. */
const MAX_KEPT = 100;
/** In this time after a token was replaced, its predecessor comes from another tab, which must not replace it again. */
const SAME_MOMENT_MS = 60_000;

/** How devices lie in the database. */
export const KNOWN_DEVICES = {
  table: 'known_devices',
  key: { id: 'text' },
  values: { name: { purpose: 'field/device-name', context: (row) => row['id'] } },
} as const satisfies EncryptedTable;

export function createDevices(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
  messages: MessageSender;
}): Devices {
  const { db, clock, audit, messages } = parts;
  const cookies = createDeviceCookie(parts.dataKeys);
  const cipher = createCipher(parts.dataKeys, KNOWN_DEVICES.values.name.purpose);
  const networkIndex = createBlindIndex(parts.dataKeys, 'known-network');

  const digestOf = (token: Uint8Array) => createHash('sha256').update(token).digest();
  function networkName(accountId: AccountId, address: string): string {
    const parsed = parseAddress(address);
    return JSON.stringify([accountId, parsed ? networkOf(parsed, NETWORK) : '']);
  }

  async function recognise(
    accountId: AccountId | undefined,
    cookie: string | undefined,
    on: Queryable = db,
  ): Promise<DeviceId | undefined> {
    const token = cookies.tokenFor(cookie, accountId ?? '');
    if (accountId === undefined || !token) return undefined;
    const [row] = await on.query<{ id: DeviceId }>(
      'SELECT id FROM known_devices WHERE account_id = $1 AND (digest = $2 OR previous_digest = $2)',
      [accountId, digestOf(token)],
    );
    return row?.id;
  }

  /** Notes the network, and gives the device its new token if the cookie's is its present one, or was the one before for a while. */
  async function rotate(
    tx: Queryable,
    accountId: AccountId,
    address: string,
    { presented, next }: { presented: Uint8Array; next: Uint8Array },
  ): Promise<DeviceId | undefined> {
    const now = clock.now();
    const [row] = await tx.query<{ id: DeviceId }>(
      `WITH network AS (
         INSERT INTO known_networks (account_id, digest, first_seen_at, last_seen_at) VALUES ($1, $5, $4, $4)
         ON CONFLICT (account_id, digest) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at
       )
       UPDATE known_devices SET digest = $3, previous_digest = $2, last_seen_at = $4
        WHERE account_id = $1 AND (digest = $2 OR (previous_digest = $2 AND last_seen_at < $6)) RETURNING id`,
      [
        accountId,
        digestOf(presented),
        digestOf(next),
        now,
        networkIndex.current(networkName(accountId, address)),
        new Date(now.getTime() - SAME_MOMENT_MS),
      ],
    );
    return row?.id;
  }

  /** Keeps a new device and the network; what is too much gives way. @returns the newest device before, if any network was known. */
  async function keep(
    tx: Queryable,
    { id, accountId, name, token, address }: NewDevice,
  ): Promise<StoredName | undefined> {
    const { known, newest_id, newest_name } = only(
      await tx.query<{ known: boolean; newest_id: string | null; newest_name: Uint8Array | null }>(
        // Each part sees what was there before the statement.
        `WITH device AS (
           INSERT INTO known_devices (id, account_id, digest, name, first_seen_at, last_seen_at) VALUES ($2, $1, $3, $4, $6, $6)
         ), network AS (
           INSERT INTO known_networks (account_id, digest, first_seen_at, last_seen_at) VALUES ($1, $5, $6, $6)
           ON CONFLICT (account_id, digest) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at
         ), devices_over AS (
           DELETE FROM known_devices WHERE account_id = $1 AND id IN
             (SELECT id FROM known_devices WHERE account_id = $1 ORDER BY last_seen_at DESC, id OFFSET $7)
         ), networks_over AS (
           DELETE FROM known_networks WHERE account_id = $1 AND digest IN
             (SELECT digest FROM known_networks WHERE account_id = $1 AND digest <> $5
               ORDER BY last_seen_at DESC, digest OFFSET $7)
         ), newest AS (
           SELECT id, name FROM known_devices WHERE account_id = $1 ORDER BY last_seen_at DESC, id DESC LIMIT 1
         )
         SELECT EXISTS (SELECT 1 FROM known_networks WHERE account_id = $1) AS known,
                (SELECT id FROM newest) AS newest_id, (SELECT name FROM newest) AS newest_name`,
        [
          accountId,
          id,
          digestOf(token),
          cipher.encrypt(Buffer.from(JSON.stringify(name)), id),
          networkIndex.current(networkName(accountId, address)),
          clock.now(),
          MAX_KEPT - 1,
        ],
      ),
    );
    if (!known) return undefined;
    return newest_id === null || newest_name === null
      ? name
      : toStoredName(cipher.decrypt(newest_name, newest_id));
  }

  async function add(
    tx: Queryable,
    account: Account,
    arrival: Arrival,
    token: Uint8Array,
  ): Promise<DeviceId> {
    const id = newId('dev', clock.now());
    const { browser, system } = deviceNameOf(arrival.userAgent);
    const name = { browser, system, language: arrival.language };
    const newest = await keep(tx, { id, accountId: account.id, name, token, address: arrival.address });
    // The first device of all is no news. The language is that of the one before: whoever has just come chose their own.
    for (const { channel, value } of newest ? addressesOf(account) : [])
      await messages.send(
        {
          channel,
          to: value,
          language: newest?.language ?? name.language,
          ...(browser !== undefined && system !== undefined
            ? { kind: 'newDevice' as const, parameters: { browser, system } }
            : { kind: 'newUnknownDevice' as const, parameters: {} }),
        },
        tx,
      );
    return id;
  }

  return {
    recognise: (accountId, cookie) => recognise(accountId, cookie),

    async factsOf(accountId, { cookie, address }) {
      const [device, networks] = await Promise.all([
        recognise(accountId, cookie),
        db.query<{ digest: Uint8Array; last_seen_at: Date }>(
          'SELECT digest, last_seen_at FROM known_networks WHERE account_id = $1 ORDER BY last_seen_at DESC',
          [accountId],
        ),
      ]);
      const here = networkIndex.all(networkName(accountId, address)).map((digest) => Buffer.from(digest));
      const isHere = ({ digest }: { digest: Uint8Array }) => here.some((each) => each.equals(digest));
      const [newest] = networks;
      return {
        knownDevice: device !== undefined,
        knownNetwork: networks.some(isHere),
        last: newest && { at: newest.last_seen_at, sameNetwork: isHere(newest) },
      };
    },

    async remember(tx, account, arrival) {
      const presented = cookies.tokenFor(arrival.cookie, account.id);
      const { value, token } = cookies.withNewToken(arrival.cookie, account.id);
      if (presented) {
        const rotated = await rotate(tx, account.id, arrival.address, { presented, next: token });
        if (rotated !== undefined) return { id: rotated, isNew: false, cookie: value };
        const sameMoment = await recognise(account.id, arrival.cookie, tx);
        if (sameMoment !== undefined) return { id: sameMoment, isNew: false, cookie: undefined };
      }
      return { id: await add(tx, account, arrival, token), isNew: true, cookie: value };
    },

    async list(accountId, cookie) {
      const rows = await db.query<{
        id: DeviceId;
        name: Uint8Array;
        first_seen_at: Date;
        last_seen_at: Date;
      }>(
        `SELECT id, name, first_seen_at, last_seen_at FROM known_devices
          WHERE account_id = $1 ORDER BY last_seen_at DESC, id DESC LIMIT $2`,
        [accountId, MAX_KEPT],
      );
      const current = await recognise(accountId, cookie);
      return rows.map((row) => {
        const name = toStoredName(cipher.decrypt(row.name, row.id));
        return {
          browser: name.browser,
          system: name.system,
          id: row.id,
          firstSeenAt: row.first_seen_at,
          lastSeenAt: row.last_seen_at,
          current: row.id === current,
        };
      });
    },

    forget: (accountId, deviceId) =>
      db.transaction(async (tx) => {
        const rows = await tx.query(
          'DELETE FROM known_devices WHERE account_id = $1 AND id = $2 RETURNING id',
          [accountId, deviceId],
        );
        if (rows.length === 0) return false;
        await audit.record(tx, {
          type: 'account.device-forgotten',
          actor: accountId,
          subject: accountId,
          detail: { deviceId },
        });
        return true;
      }),
  };
}

interface NewDevice {
  readonly id: DeviceId;
  readonly accountId: AccountId;
  readonly name: StoredName;
  readonly token: Uint8Array;
  readonly address: string;
}

/** As it lies in the database, encrypted. */
interface StoredName extends Partial<DeviceName> {
  readonly language: string;
}

function toStoredName(json: Uint8Array): StoredName {
  return JSON.parse(Buffer.from(json).toString('utf8')) as StoredName;
}

/** Where the owner of an account is reached for certain. */
function addressesOf({ phone, phoneVerified, email, emailVerified }: Account): Address[] {
  return [
    ...(phone !== undefined && phoneVerified ? [{ channel: 'sms' as const, value: phone }] : []),
    ...(email !== undefined && emailVerified ? [{ channel: 'email' as const, value: email }] : []),
  ];
}
