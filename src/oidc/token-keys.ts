/**
 * The keys that sign tokens, and their rotation at run time: announced (in the JWK Set, not signing) → signing → retired (verifies what it
 * signed) → gone. Every process learns of a change at once; portals learn of a new key before the first token that it signs.
 */
import type { KeyObject } from 'node:crypto';
import type { AuditLog } from '../audit/index.ts';
import { PROVIDER, type Custody, type KeyType } from '../custody/index.ts';
import { thumbprint, type Signer } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import type { KeyId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';

export type TokenAlgorithm = 'ES256' | 'RS256';
export type TokenKeyState = 'announced' | 'signing' | 'retired';

/** ES256 signs by default. RS256 is there because every provider must offer it (OpenID Connect Core 1.0, section 15.1). */
const KEY_TYPES: Readonly<Record<TokenAlgorithm, KeyType>> = { ES256: 'P-256', RS256: 'RSA-2048' };
const ALGORITHMS: readonly TokenAlgorithm[] = ['ES256', 'RS256'];

/** A key as it stands, without the means to sign. */
export interface TokenKey {
  readonly keyId: KeyId;
  readonly alg: TokenAlgorithm;
  readonly state: TokenKeyState;
  /** When it came into this state. */
  readonly since: Date;
}

/** A key of the provider's JWK Set. */
export interface PublishedKey extends TokenKey {
  /** Thumbprint (RFC 7638). */
  readonly kid: string;
  readonly publicKey: KeyObject;
  /** Only a signing key has one. */
  readonly signer: Signer | undefined;
}

/** When keys move on. Seconds. */
export interface RotationPlan {
  /** How long a key is announced before it signs: longer than portals keep a copy of the JWK Set. */
  readonly announced: number;
  /** How long it signs. */
  readonly signing: number;
  /** How long it stays published after: longer than anything it signed is shown to us, ID token hints included. */
  readonly retired: number;
}

export type Move =
  | { readonly kind: 'announce'; readonly alg: TokenAlgorithm }
  | { readonly kind: 'sign'; readonly key: TokenKey; readonly instead: TokenKey | undefined }
  | { readonly kind: 'remove'; readonly key: TokenKey };

/** What is due. Pure. */
export function dueMoves(keys: readonly TokenKey[], plan: RotationPlan, now: Date): Move[] {
  const age = (key: TokenKey) => (now.getTime() - key.since.getTime()) / 1000;
  return ALGORITHMS.flatMap((alg): Move[] => {
    const own = keys.filter((key) => key.alg === alg);
    const signing = own.find((key) => key.state === 'signing');
    const announced = own.find((key) => key.state === 'announced');
    const moves: Move[] = own
      .filter((key) => key.state === 'retired' && age(key) >= plan.retired)
      .map((key) => ({ kind: 'remove', key }));
    if (!signing && !announced) moves.push({ kind: 'announce', alg });
    // With nothing that signs there is nobody to warn: the first key signs at once.
    else if (announced && (!signing || age(announced) >= plan.announced))
      moves.push({ kind: 'sign', key: announced, instead: signing });
    else if (signing && !announced && age(signing) >= plan.signing - plan.announced)
      moves.push({ kind: 'announce', alg });
    return moves;
  });
}

export interface TokenKeys {
  /** The JWK Set's keys, in the order in which the provider chooses among them: signing, announced, retired. */
  published(): Promise<PublishedKey[]>;
  /** Every key, for operators. */
  all(): Promise<TokenKey[]>;
  /**
   * Announces a new key of each algorithm.
   * @param options.now For a key that may be known to others: the new ones sign at once, and the old ones are gone.
   */
  rotate(options: { readonly now: boolean }): Promise<void>;
  /** Makes the moves that are due. Called by a timer in every process; one of them does the work. */
  advance(): Promise<void>;
  /** Calls back whenever the keys have changed, in this process or another. */
  onChange(listener: () => void): void;
  stop(): Promise<void>;
}

interface Row {
  key_id: KeyId;
  alg: TokenAlgorithm;
  state: TokenKeyState;
  since: Date;
}

const CHANNEL = 'token_keys_changed';
/** Any number that nothing else in the database locks. */
const LOCK = 20_260_103;
const TICK_MS = 30_000;
const ORDER: Readonly<Record<TokenKeyState, number>> = { signing: 0, announced: 1, retired: 2 };

export async function createTokenKeys(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  custody: Custody;
  logger: Logger;
  plan: RotationPlan;
}): Promise<TokenKeys> {
  const { db, clock, audit, custody, logger, plan } = parts;
  const listeners: (() => void)[] = [];
  const tell = () => {
    for (const listener of listeners) listener();
  };
  const stopListening = await db.listen(CHANNEL, tell);

  async function load(on: Queryable): Promise<TokenKey[]> {
    const rows = await on.query<Row>('SELECT key_id, alg, state, since FROM token_keys');
    return rows
      .map(({ key_id, alg, state, since }) => ({ keyId: key_id, alg, state, since }))
      .toSorted(
        (a, b) => ORDER[a.state] - ORDER[b.state] || a.alg.localeCompare(b.alg) || +b.since - +a.since,
      );
  }

  async function setState(tx: Queryable, key: Pick<TokenKey, 'keyId' | 'alg'>, state: TokenKeyState) {
    await tx.query(
      `INSERT INTO token_keys (key_id, alg, state, since) VALUES ($1, $2, $3, $4)
         ON CONFLICT (key_id) DO UPDATE SET state = $3, since = $4`,
      [key.keyId, key.alg, state, clock.now()],
    );
    await audit.record(tx, {
      type: 'token-key.changed',
      actor: 'system',
      subject: key.keyId,
      detail: { alg: key.alg, state },
    });
  }

  async function make(tx: Queryable, move: Move): Promise<void> {
    if (move.kind === 'announce') {
      const key = await custody.generate(tx, {
        owner: PROVIDER,
        purpose: 'token',
        actor: 'system',
        keyType: KEY_TYPES[move.alg],
      });
      await setState(tx, { keyId: key.id, alg: move.alg }, 'announced');
    } else if (move.kind === 'sign') {
      if (move.instead) await setState(tx, move.instead, 'retired');
      await setState(tx, move.key, 'signing');
    } else {
      await tx.query('DELETE FROM token_keys WHERE key_id = $1', [move.key.keyId]);
      await custody.destroy(tx, { owner: PROVIDER, keyId: move.key.keyId, actor: 'system' });
    }
  }

  /** One process at a time decides, on what it then finds. @returns whether anything changed. */
  function change(decide: (keys: readonly TokenKey[]) => Move[]): Promise<boolean> {
    return db.transaction(async (tx) => {
      await tx.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
      const moves = decide(await load(tx));
      for (const move of moves) await make(tx, move);
      if (moves.length > 0) await tx.query('SELECT pg_notify($1, $2)', [CHANNEL, '']);
      return moves.length > 0;
    });
  }

  const advance = async () => {
    if (dueMoves(await load(db), plan, clock.now()).length === 0) return;
    // A new key may become a signing one right away, where there was none.
    while (await change((keys) => dueMoves(keys, plan, clock.now())));
    tell();
  };

  await advance();
  const timer = setInterval(() => {
    advance().catch((error: unknown) => logger.error({ err: error }, 'token keys could not be moved on'));
  }, TICK_MS);
  timer.unref();

  return {
    async published() {
      const keys = await load(db);
      return Promise.all(
        keys.map(async (key) => {
          const record = await custody.find(PROVIDER, key.keyId);
          if (!record) throw new TypeError('a token key is not in custody');
          return {
            ...key,
            kid: await thumbprint(record.publicKey),
            publicKey: record.publicKey,
            signer: key.state === 'signing' ? await custody.signer(PROVIDER, key.keyId, key.alg) : undefined,
          };
        }),
      );
    },
    all: () => load(db),
    async rotate({ now }) {
      await change((keys) =>
        ALGORITHMS.filter((alg) => !keys.some((key) => key.alg === alg && key.state === 'announced')).map(
          (alg) => ({ kind: 'announce', alg }),
        ),
      );
      if (now) {
        await change((keys) =>
          keys
            .filter((key) => key.state === 'announced')
            .map((key) => ({
              kind: 'sign',
              key,
              instead: keys.find((other) => other.alg === key.alg && other.state === 'signing'),
            })),
        );
        await change((keys) =>
          keys.filter((key) => key.state === 'retired').map((key) => ({ kind: 'remove', key })),
        );
      }
      tell();
    },
    advance,
    onChange: (listener) => void listeners.push(listener),
    async stop() {
      clearInterval(timer);
      await stopListening();
    },
  };
}
