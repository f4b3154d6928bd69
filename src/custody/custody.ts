/** Where private keys live. A key belongs to one owner and one purpose; the only thing that leaves this room is a `Signer`. */
import { createHash, createPublicKey, KeyObject } from 'node:crypto';
import type { AuditLog } from '../audit/index.ts';
import { algorithmOf, suits, type SignatureAlgorithm, type Signer } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { newId, type KeyId } from '../platform/ids.ts';
import { readBackup, writeBackup, type KeyBackup } from './backup.ts';
import type { DriverName, OpenKey, TokenDriver } from './driver.ts';
import { createEnvelope } from './envelope.ts';
import { CustodyError } from './errors.ts';
import { makePair, type KeyType } from './key-types.ts';
import { createRewrapping, type Rewrapping } from './rewrapping.ts';
import { createSigningThreads } from './signing-threads.ts';
import { signWith } from './signing.ts';
import { TRANSITIONS, type KeyState } from './states.ts';
import { softwareWrappingKey, wrappingKeys, type WrappingKey } from './wrapping.ts';

/** Owner of the keys that belong to the provider itself and to no unit: token signing, audit, certificate authorities. */
export const PROVIDER = 'provider';

export type KeyPurpose = 'token' | 'audit' | 'root-ca' | 'issuing-ca' | 'time-stamping' | 'ocsp' | 'seal';

export interface KeyRecord {
  readonly id: KeyId;
  readonly owner: string;
  readonly purpose: KeyPurpose;
  /** Counts up for each owner and purpose. */
  readonly version: number;
  readonly keyType: KeyType;
  readonly state: KeyState;
  readonly driver: DriverName;
  readonly publicKey: KeyObject;
  /** The key that this one took the place of. */
  readonly predecessor: KeyId | undefined;
  readonly createdAt: Date;
  readonly stateSince: Date;
  /** Whatever it signed is doubtful from then on, also after it was destroyed. */
  readonly compromisedAt: Date | undefined;
}

export interface NewKey {
  readonly owner: string;
  readonly purpose: KeyPurpose;
  readonly actor: string;
  /** Default P-256. */
  readonly keyType?: KeyType | undefined;
  /** Default `active`: it signs at once. */
  readonly state?: 'pre-active' | 'active' | undefined;
  /** Default: what custody was made with, if keys of this type are made there. */
  readonly driver?: DriverName | undefined;
}

export interface Custody {
  /** Makes a key pair in the caller's transaction. @throws {CustodyError} KEY_ALGORITHM: the token makes no keys of this type; KEY_UNAVAILABLE. */
  generate(tx: Queryable, request: NewKey): Promise<KeyRecord>;
  /**
   * Takes a new version into use in place of an active one, of the same purpose, type and driver; the old one signs no more and is kept for what
   * it signed. Of two who rotate the same key one does, the other gets KEY_STATE.
   * @throws {CustodyError} KEY_NOT_FOUND, KEY_STATE.
   */
  rotate(tx: Queryable, request: { owner: string; keyId: KeyId; actor: string }): Promise<KeyRecord>;
  /** A key of an owner in any state: its public half, for what it signed. */
  find(owner: string, keyId: KeyId, on?: Queryable): Promise<KeyRecord | undefined>;
  /** All keys of an owner, the newest first, at most 500. */
  list(owner: string, options?: { readonly purpose?: KeyPurpose }): Promise<KeyRecord[]>;
  /** The active key of an owner for a purpose, and of a type if one is named, newest version first. */
  active(
    owner: string,
    purpose: KeyPurpose,
    on?: Queryable,
    keyType?: KeyType,
  ): Promise<KeyRecord | undefined>;
  /**
   * Leads a key from one state to another, by compare-and-set (`TRANSITIONS`). Whoever has it open in any process signs no more within a second.
   * @param change.from The state in which the caller saw it; absent: any that leads there.
   * @param change.reason A closed word for the audit log, never a free text.
   * @throws {CustodyError} KEY_NOT_FOUND, KEY_STATE.
   */
  change(
    tx: Queryable,
    change: {
      owner: string;
      keyId: KeyId;
      to: Exclude<KeyState, 'pre-active' | 'destroyed'>;
      from?: KeyState;
      actor: string;
      reason?: string;
    },
  ): Promise<KeyRecord>;
  /**
   * Ends a key for good: the private part is erased, the public part and the record stay. The audit entry holds the digest of what was erased.
   * @throws {CustodyError} KEY_NOT_FOUND, KEY_STATE.
   */
  destroy(tx: Queryable, request: { owner: string; keyId: KeyId; actor: string }): Promise<void>;
  /**
   * A backup of a key: what the database holds of it, of use to nobody without the wrapping key.
   * @throws {CustodyError} KEY_NOT_FOUND, KEY_STATE: destroyed; KEY_NOT_EXPORTABLE: it lives in a token.
   */
  exportBackup(tx: Queryable, request: { owner: string; keyId: KeyId; actor: string }): Promise<KeyBackup>;
  /**
   * Brings a key back from its backup: one whose private half is missing here, or that is not known here at all, as after the loss of a
   * database. It comes back suspended. A key that was destroyed stays destroyed.
   * @throws {CustodyError} BACKUP_INVALID, KEY_STATE, WRAPPING_KEY_WRONG, KEY_UNAVAILABLE.
   */
  restoreBackup(
    tx: Queryable,
    request: { owner: string; backup: unknown; actor: string },
  ): Promise<KeyRecord>;
  /**
   * A signer with the key, if `owner` has it and it is active. It asks anew when it was last told longer than a second ago: a
   * signer that is kept stops signing within a second of the change.
   * @param on The transaction in which it is used, if it is used within one.
   * @throws {CustodyError} KEY_NOT_FOUND, for another owner's key too; KEY_NOT_ACTIVE; KEY_ALGORITHM; KEY_UNAVAILABLE; WRAPPING_KEY_WRONG.
   */
  signer(owner: string, keyId: KeyId, algorithm: SignatureAlgorithm, on?: Queryable): Promise<Signer>;
  /** How many keys there are of each kind, over all owners. */
  count(): Promise<
    { purpose: KeyPurpose; keyType: KeyType; driver: DriverName; state: KeyState; keys: number }[]
  >;
  /** Wrapping anew what lies under another wrapping key than the current one. */
  readonly rewrapping: Rewrapping;
  /** Erases from the token what was destroyed while the token could not be reached. @returns how many keys. */
  eraseDestroyed(): Promise<number>;
  /** Listens for changes of states in other processes. Without it they are seen within a second all the same. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

interface KeyRow {
  id: KeyId;
  owner: string;
  purpose: KeyPurpose;
  version: number;
  key_type: KeyType;
  state: KeyState;
  driver: DriverName;
  public_key: Uint8Array;
  data_key_version: number | null;
  private_key: Uint8Array | null;
  predecessor: KeyId | null;
  created_at: Date;
  state_since: Date;
  compromised_at: Date | null;
}

const COLUMNS =
  'id, owner, purpose, version, key_type, state, driver, public_key, data_key_version, private_key, predecessor, created_at, state_since, compromised_at';
/** Keys kept open in memory: opening one costs thirty times a signature. */
const CACHE_ENTRIES = 1000;
const CACHE_MS = 300_000;
/** How long a key is held to be active without asking. */
const STATE_MS = 1000;
const LISTED = 500;
const CHANNEL = 'custody_keys';

/** An open key, and when its state was last asked for. */
interface Held {
  readonly owner: string;
  readonly key: OpenKey;
  readonly until: number;
  checkedAt: number;
}

export function createCustody(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  /** The current wrapping key. */
  keyEncryptionKey: KeyObject | WrappingKey;
  /** Those that are still, or already, known besides. */
  otherKeyEncryptionKeys?: readonly (KeyObject | WrappingKey)[];
  token?: TokenDriver | undefined;
  /** Where new keys are made. Default `envelope`. */
  driver?: DriverName | undefined;
}): Custody {
  const { db, clock, audit, token } = parts;
  const wrapping = wrappingKeys(
    toWrappingKey(parts.keyEncryptionKey),
    (parts.otherKeyEncryptionKeys ?? []).map(toWrappingKey),
  );
  const envelope = createEnvelope(wrapping);
  const threads = createSigningThreads();
  const held = new Map<KeyId, Held>();
  const asking = new Map<KeyId, Promise<Held>>();
  let stopListening: (() => Promise<void>) | undefined;

  function drop(keyId: KeyId): void {
    held.get(keyId)?.key.close();
    held.delete(keyId);
  }

  function requireToken(): TokenDriver {
    if (!token)
      throw new CustodyError('KEY_UNAVAILABLE', 'The key cannot be used at the moment.', {
        cause: new Error('the key is in a token, and none is configured (PKCS11_MODULE)'),
      });
    return token;
  }

  async function read(
    on: Queryable,
    owner: string,
    keyId: string,
    lock = false,
  ): Promise<KeyRow | undefined> {
    // The owner is part of the question: a key of another unit does not exist here.
    const [row] = await on.query<KeyRow>(
      `SELECT ${COLUMNS} FROM custody_keys WHERE id = $1 AND owner = $2${lock ? ' FOR UPDATE' : ''}`,
      [keyId, owner],
    );
    return row;
  }

  async function open(row: KeyRow, on: Queryable): Promise<OpenKey> {
    const publicKey = toPublicKey(row.public_key);
    if (row.driver === 'pkcs11') return requireToken().open(row.id, publicKey);
    if (!row.private_key || row.data_key_version === null)
      throw unavailable(new Error('nothing is kept of it'));
    const dataKey = await envelope.dataKey(on, row.owner, row.data_key_version);
    const privateKey = envelope.decryptPrivateKey(dataKey, row, row.private_key, row.public_key);
    // A signature of 20 microseconds costs less on this thread than handing it to another.
    if (row.key_type === 'P-256' || row.key_type === 'Ed25519') {
      const signing = signWith(privateKey);
      return { publicKey, sign: async (algorithm, data) => signing(algorithm, data), close: () => undefined };
    }
    const known = threads.know(privateKey);
    return {
      publicKey,
      sign: (algorithm, data) => threads.sign(known, algorithm, data),
      close: () => threads.forget(known),
    };
  }

  /** The key, open, and known to be active since now. */
  async function hold(owner: string, keyId: KeyId, on: Queryable): Promise<Held> {
    const now = clock.now().getTime();
    const row = await read(on, owner, keyId);
    if (!row) throw notFound();
    if (row.state !== 'active') {
      drop(keyId);
      throw new CustodyError('KEY_NOT_ACTIVE', 'The key is not active.');
    }
    const kept = held.get(keyId);
    if (kept && kept.until > now) {
      kept.checkedAt = now;
      return kept;
    }
    const key = await open(row, on);
    drop(keyId);
    const fresh = { owner, key, until: now + CACHE_MS, checkedAt: now };
    held.set(keyId, fresh);
    const [oldest] = held.keys();
    if (held.size > CACHE_ENTRIES && oldest !== undefined) drop(oldest);
    return fresh;
  }

  /** The same, asked once for all who sign at the same moment. */
  function holdShared(owner: string, keyId: KeyId, on: Queryable): Promise<Held> {
    if (on !== db) return hold(owner, keyId, on);
    const under = asking.get(keyId);
    if (under) return under;
    const question = hold(owner, keyId, on).finally(() => asking.delete(keyId));
    asking.set(keyId, question);
    return question;
  }

  /** Only one transaction at a time gives an owner keys: versions are counted, and there is one data key. */
  async function lockOwner(tx: Queryable, owner: string): Promise<void> {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`custody/${owner}`]);
  }

  async function make(tx: Queryable, request: NewKey & { predecessor?: KeyId }): Promise<KeyRecord> {
    const { owner, purpose, actor, keyType = 'P-256', state = 'active', predecessor } = request;
    // What the token cannot make (SM2) is made here, unless the caller insists.
    const driver =
      request.driver ??
      (parts.driver === 'pkcs11' && token?.keyTypes.includes(keyType) ? 'pkcs11' : 'envelope');
    const now = clock.now();
    // Before the lock: a pair of RSA-4096 may take seconds.
    const pair = driver === 'envelope' ? await makePair(keyType) : undefined;
    await lockOwner(tx, owner);
    const [last] = await tx.query<{ version: number }>(
      'SELECT version FROM custody_keys WHERE owner = $1 AND purpose = $2 ORDER BY version DESC LIMIT 1',
      [owner, purpose],
    );
    const place = { id: newId('key', now), owner, purpose, version: (last?.version ?? 0) + 1 };
    const dataKey = pair && (await envelope.newestDataKey(tx, owner, now));
    const publicKey =
      pair?.publicKey ??
      (await requireToken().make(place.id, keyType, `yinxin/${owner}/${purpose}/${place.version}`));
    const spki = publicKey.export({ format: 'der', type: 'spki' });
    await tx.query(
      `INSERT INTO custody_keys (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, NULL)`,
      [
        place.id,
        owner,
        purpose,
        place.version,
        keyType,
        state,
        driver,
        spki,
        dataKey?.version ?? null,
        pair && dataKey ? envelope.encryptPrivateKey(dataKey, place, pair.privateKey) : null,
        predecessor ?? null,
        now,
      ],
    );
    await audit.record(tx, {
      type: 'key.generated',
      actor,
      subject: place.id,
      detail: {
        owner,
        purpose,
        version: place.version,
        keyType,
        state,
        driver,
        ...(predecessor === undefined ? {} : { predecessor }),
        publicKeyDigest: sha256(spki),
      },
    });
    return {
      ...place,
      keyType,
      state,
      driver,
      publicKey: toPublicKey(spki),
      predecessor,
      createdAt: now,
      stateSince: now,
      compromisedAt: undefined,
    };
  }

  /** The row before and after, changed by compare-and-set. Its lock makes the order of two who change it the order of their commits. */
  async function setState(
    tx: Queryable,
    { owner, keyId, to, from }: { owner: string; keyId: KeyId; to: KeyState; from?: KeyState | undefined },
  ): Promise<{ before: KeyRow; after: KeyRow }> {
    const before = await read(tx, owner, keyId, true);
    if (!before) throw notFound();
    if (!TRANSITIONS[before.state].includes(to) || (from !== undefined && from !== before.state))
      throw new CustodyError('KEY_STATE', `A key that is ${before.state} does not become ${to} by this.`);
    const [after] = await tx.query<KeyRow>(
      `UPDATE custody_keys SET state = $3, state_since = $4,
              compromised_at = CASE WHEN $3 = 'compromised' THEN $4 ELSE compromised_at END,
              private_key = CASE WHEN $3 = 'destroyed' THEN NULL ELSE private_key END
        WHERE id = $1 AND owner = $2 AND state = $5 RETURNING ${COLUMNS}`,
      [keyId, owner, to, clock.now(), before.state],
    );
    if (!after) throw new CustodyError('KEY_STATE', 'The key was changed meanwhile.');
    // At once for this process too, and again when it has committed: somebody may have opened it in between.
    drop(keyId);
    tx.afterCommit?.(() => drop(keyId));
    return { before, after };
  }

  const changeState: Custody['change'] = async (tx, { owner, keyId, to, from, actor, reason }) => {
    const { before, after } = await setState(tx, { owner, keyId, to, from });
    await audit.record(tx, {
      type: 'key.state-changed',
      actor,
      subject: keyId,
      detail: { owner, from: before.state, to, ...(reason === undefined ? {} : { reason }) },
    });
    return toRecord(after);
  };

  /** The token is not part of the transaction: it is told when that has committed. */
  function eraseFromToken(keyId: KeyId): void {
    // What cannot be reached now is erased by `eraseDestroyed`.
    void Promise.resolve()
      .then(() => requireToken().destroy(keyId))
      .catch(() => undefined);
  }

  return {
    generate: make,

    async rotate(tx, { owner, keyId, actor }) {
      // Always the owner first and the key then, so that two never wait for each other.
      await lockOwner(tx, owner);
      const { before } = await setState(tx, { owner, keyId, to: 'deactivated', from: 'active' });
      const made = await make(tx, {
        owner,
        purpose: before.purpose,
        actor,
        keyType: before.key_type,
        driver: before.driver,
        predecessor: keyId,
      });
      await audit.record(tx, {
        type: 'key.state-changed',
        actor,
        subject: keyId,
        detail: { owner, from: 'active', to: 'deactivated', reason: 'rotated' },
      });
      return made;
    },

    async find(owner, keyId, on = db) {
      const row = await read(on, owner, keyId);
      return row && toRecord(row);
    },

    async list(owner, { purpose } = {}) {
      const rows = await db.query<KeyRow>(
        `SELECT ${COLUMNS} FROM custody_keys WHERE owner = $1 AND ($2::text IS NULL OR purpose = $2)
          ORDER BY created_at DESC, id DESC LIMIT $3`,
        [owner, purpose ?? null, LISTED],
      );
      return rows.map(toRecord);
    },

    async active(owner, purpose, on = db, keyType) {
      const [row] = await on.query<KeyRow>(
        `SELECT ${COLUMNS} FROM custody_keys
          WHERE owner = $1 AND purpose = $2 AND state = 'active' AND ($3::text IS NULL OR key_type = $3)
          ORDER BY version DESC LIMIT 1`,
        [owner, purpose, keyType ?? null],
      );
      return row && toRecord(row);
    },

    change: changeState,

    async destroy(tx, { owner, keyId, actor }) {
      const { before } = await setState(tx, { owner, keyId, to: 'destroyed' });
      if (before.driver === 'pkcs11') {
        if (tx.afterCommit) tx.afterCommit(() => eraseFromToken(keyId));
        else eraseFromToken(keyId);
      }
      await audit.record(tx, {
        type: 'key.destroyed',
        actor,
        subject: keyId,
        detail: {
          owner,
          purpose: before.purpose,
          version: before.version,
          from: before.state,
          driver: before.driver,
          publicKeyDigest: sha256(before.public_key),
          // Of the ciphertext that is no more: nobody who finds it later can say that it was another key.
          ...(before.private_key ? { erasedDigest: sha256(before.private_key) } : {}),
        },
      });
    },

    async exportBackup(tx, { owner, keyId, actor }) {
      const row = await read(tx, owner, keyId);
      if (!row) throw notFound();
      if (row.driver !== 'envelope')
        throw new CustodyError('KEY_NOT_EXPORTABLE', 'The key lives in a token, which gives none away.');
      if (row.state === 'destroyed' || !row.private_key || row.data_key_version === null)
        throw new CustodyError('KEY_STATE', 'Nothing is left of this key to be kept.');
      const [dataKey] = await tx.query<{ wrapping_key: string; wrapped: Uint8Array }>(
        'SELECT wrapping_key, wrapped FROM custody_data_keys WHERE owner = $1 AND version = $2',
        [owner, row.data_key_version],
      );
      if (!dataKey) throw unavailable(new Error('there is no such data key'));
      const backup = writeBackup({
        ...row,
        data_key_version: row.data_key_version,
        private_key: row.private_key,
        ...dataKey,
      });
      await audit.record(tx, {
        type: 'key.backup-exported',
        actor,
        subject: keyId,
        detail: { owner, publicKeyDigest: sha256(row.public_key), wrappingKey: dataKey.wrapping_key },
      });
      return backup;
    },

    async restoreBackup(tx, { owner, backup, actor }) {
      const kept = readBackup(backup);
      if (kept.owner !== owner) throw new CustodyError('BACKUP_INVALID', 'The backup is of another owner.');
      const spki = kept.public_key;
      // It opens with its own data key, bound to owner, key, version and purpose, and is kept under the one of here.
      const privateKey = envelope.decryptPrivateKey(
        await envelope.openDataKey({ ...kept, version: kept.data_key_version }),
        kept,
        kept.private_key,
        spki,
      );
      await lockOwner(tx, owner);
      const dataKey = await envelope.newestDataKey(tx, owner, clock.now());
      const encrypted = envelope.encryptPrivateKey(dataKey, kept, privateKey);
      // Asked without the owner: an id that another has is not given to a second one.
      const [there] = await tx.query<KeyRow>(`SELECT ${COLUMNS} FROM custody_keys WHERE id = $1 FOR UPDATE`, [
        kept.id,
      ]);
      if (
        there &&
        (there.owner !== owner ||
          there.driver !== 'envelope' ||
          Buffer.compare(there.public_key, spki) !== 0 ||
          there.version !== kept.version ||
          there.purpose !== kept.purpose)
      )
        throw new CustodyError('BACKUP_INVALID', 'The backup is not of the key that has this id.');
      if (there && there.state === 'destroyed')
        throw new CustodyError('KEY_STATE', 'A key that was destroyed stays destroyed.');
      if (there?.private_key) throw new CustodyError('KEY_STATE', 'The key is here, and needs no backup.');
      const now = clock.now();
      const [row] = there
        ? await tx.query<KeyRow>(
            `UPDATE custody_keys SET private_key = $2, data_key_version = $3, state_since = $4,
                    state = CASE WHEN state = 'active' THEN 'suspended' ELSE state END
              WHERE id = $1 AND private_key IS NULL AND state <> 'destroyed' RETURNING ${COLUMNS}`,
            [kept.id, encrypted, dataKey.version, now],
          )
        : await tx.query<KeyRow>(
            `INSERT INTO custody_keys (${COLUMNS})
               VALUES ($1, $2, $3, $4, $5, 'suspended', 'envelope', $6, $7, $8, NULL, $9, $10, NULL)
             ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
            [
              kept.id,
              owner,
              kept.purpose,
              kept.version,
              kept.key_type,
              spki,
              dataKey.version,
              encrypted,
              kept.created_at,
              now,
            ],
          );
      if (!row)
        throw new CustodyError('KEY_STATE', 'Another key has this version, or it was changed meanwhile.');
      tx.afterCommit?.(() => drop(kept.id));
      await audit.record(tx, {
        type: 'key.restored',
        actor,
        subject: kept.id,
        detail: { owner, publicKeyDigest: sha256(spki), state: row.state },
      });
      return toRecord(row);
    },

    async signer(owner, keyId, algorithm, on = db) {
      const { key } = await hold(owner, keyId, on);
      if (!suits(algorithm, key.publicKey))
        throw new CustodyError('KEY_ALGORITHM', 'The key does not sign under this algorithm.', {
          cause: new Error(`${algorithmOf(algorithm).keyType} is asked for`),
        });
      return {
        algorithm,
        publicKey: key.publicKey,
        async sign(data) {
          const now = clock.now().getTime();
          const kept = held.get(keyId);
          const current =
            kept?.owner === owner && kept.until > now && now - kept.checkedAt <= STATE_MS
              ? kept
              : await holdShared(owner, keyId, on);
          return current.key.sign(algorithm, data);
        },
      };
    },

    count: () =>
      db.query(
        `SELECT purpose, key_type AS "keyType", driver, state, count(*) AS keys FROM custody_keys
          GROUP BY purpose, key_type, driver, state ORDER BY purpose, key_type, driver, state`,
      ),

    rewrapping: createRewrapping({ db, clock, audit, envelope, wrapping }),

    async eraseDestroyed() {
      if (!token) return 0;
      const rows = await db.query<{ id: KeyId }>(
        `SELECT id FROM custody_keys WHERE driver = 'pkcs11' AND state = 'destroyed'`,
      );
      let erased = 0;
      for (const { id } of rows) {
        if (!(await token.has(id))) continue;
        await token.destroy(id);
        erased += 1;
      }
      return erased;
    },

    async start() {
      stopListening ??= await db.listen(CHANNEL, (payload) => {
        // eslint-disable-next-line typescript/no-unsafe-type-assertion -- what the trigger sends
        if (payload) drop(payload as KeyId);
        else for (const keyId of held.keys()) drop(keyId);
      });
    },

    async stop() {
      await stopListening?.();
      stopListening = undefined;
      for (const keyId of held.keys()) drop(keyId);
      await threads.stop();
    },
  };
}

function toRecord(row: KeyRow): KeyRecord {
  return {
    id: row.id,
    owner: row.owner,
    purpose: row.purpose,
    version: row.version,
    keyType: row.key_type,
    state: row.state,
    driver: row.driver,
    publicKey: toPublicKey(row.public_key),
    predecessor: row.predecessor ?? undefined,
    createdAt: row.created_at,
    stateSince: row.state_since,
    compromisedAt: row.compromised_at ?? undefined,
  };
}

function toWrappingKey(key: KeyObject | WrappingKey): WrappingKey {
  return key instanceof KeyObject ? softwareWrappingKey(key) : key;
}

function toPublicKey(spki: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
}

function notFound(): CustodyError {
  return new CustodyError('KEY_NOT_FOUND', 'There is no such key.');
}

function unavailable(cause: Error): CustodyError {
  return new CustodyError('KEY_UNAVAILABLE', 'The key cannot be used at the moment.', { cause });
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
