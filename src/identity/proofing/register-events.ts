/**
 * What registers tell about people whom accounts belong to: Security Event Tokens (RFC 8417) pushed over HTTP (RFC 8935). Each is taken once,
 * and what it ends is ended, however often it is sent and whichever process dies meanwhile. Contract: `docs/proofing-authority.md`.
 */
import { createHash } from 'node:crypto';
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  errors,
  jwtVerify,
  type JWTVerifyGetKey,
} from 'jose';
import { z } from 'zod';
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, Queryable } from '../../platform/db/db.ts';
import { AppError } from '../../platform/errors.ts';
import type { OutboundFetch } from '../../platform/http/outbound.ts';
import type { AccountId } from '../../platform/ids.ts';
import type { RegisterSource } from '../../platform/sources.ts';
import { DOCUMENT_KINDS, isName, readDocument, type Document } from './documents.ts';
import type { Source } from './evidence.ts';
import type { Persons } from './persons.ts';

/** Error codes of RFC 8935, section 2.4. */
export type RegisterEventProblem =
  'invalid_request' | 'invalid_key' | 'invalid_issuer' | 'invalid_audience' | 'authentication_failed';

/** A token that is not taken, and will not be when it is sent again. */
export class RegisterEventError extends AppError<'EVENT_INVALID'> {
  readonly problem: RegisterEventProblem;

  constructor(problem: RegisterEventProblem, message: string, options?: ErrorOptions) {
    super('EVENT_INVALID', message, options);
    this.problem = problem;
  }
}

export interface RegisterEvents {
  /** Takes a token. @throws {RegisterEventError} it cannot be believed or understood. */
  receive(token: string): Promise<void>;
}

const PREFIX = 'urn:yinxin:register-event:';
const SUBJECT_FORMAT = 'urn:yinxin:subject:document';
const ALGORITHMS = ['ES256', 'PS256', 'EdDSA', 'Ed25519', 'RS256'];
/** How far ahead a register's clock may be. Seconds. */
const CLOCK_TOLERANCE = 60;

const documentMember = z.object({
  kind: z.enum(DOCUMENT_KINDS),
  number: z.string().max(40),
  issuing_country: z.string().max(3).optional(),
});
const payloadSchema = z.object({
  iss: z.string(),
  iat: z.number().int(),
  jti: z.string().min(1).max(200),
  sub_id: documentMember.extend({ format: z.literal(SUBJECT_FORMAT) }),
  events: z.record(z.string(), z.record(z.string(), z.unknown())),
});
const nameChanged = z.object({ name: z.string().refine(isName).optional() });
const numberChanged = z.object({ document: documentMember.optional() });

type Event =
  | { readonly type: 'death' | 'document-void' }
  | { readonly type: 'name-changed'; readonly name: string | undefined }
  | { readonly type: 'number-changed'; readonly document: Document | undefined };

export function createRegisterEvents(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  persons: Persons;
  registers: readonly RegisterSource[];
  /** `aud` of the tokens: the issuer. */
  audience: string;
  fetch: OutboundFetch;
  /** Ends every session of an account and tells its portals. */
  endSessions: (accountId: AccountId, actor: string) => Promise<void>;
}): RegisterEvents {
  const { db, clock, audit, persons } = parts;
  const keys = new Map<string, JWTVerifyGetKey>(
    parts.registers.map((register) => [register.issuer, keysOf(register, parts.fetch)]),
  );

  async function verified(token: string): Promise<z.output<typeof payloadSchema>> {
    const issuer = issuerOf(token);
    const key = keys.get(issuer);
    if (!key) throw new RegisterEventError('invalid_issuer', 'The issuer of the token is not known here.');
    const now = clock.now();
    try {
      const { payload } = await jwtVerify(token, key, {
        issuer,
        audience: parts.audience,
        typ: 'secevent+jwt',
        algorithms: ALGORITHMS,
        currentDate: now,
        clockTolerance: CLOCK_TOLERANCE,
      });
      const parsed = payloadSchema.safeParse(payload);
      if (!parsed.success)
        throw new RegisterEventError(
          'invalid_request',
          'The token lacks a member, or has one of another form.',
        );
      if (parsed.data.iat > now.getTime() / 1000 + CLOCK_TOLERANCE)
        throw new RegisterEventError('invalid_request', 'The token was issued in the future.');
      return parsed.data;
    } catch (error) {
      throw toProblem(error);
    }
  }

  /** Does what the event says to the account of the person. */
  async function apply(tx: Queryable, accountId: AccountId, event: Event, source: Source): Promise<void> {
    const end = (result: 'withdrawn' | 'conflict', keep: boolean) =>
      persons.withdraw(tx, accountId, source, { result, keep });
    switch (event.type) {
      case 'death':
        // Nobody is ever proofed with this document again.
        await end('withdrawn', true);
        await tx.query(`UPDATE accounts SET state = 'locked' WHERE id = $1 AND state = 'active'`, [
          accountId,
        ]);
        return;
      case 'document-void':
        await end('withdrawn', false);
        return;
      case 'name-changed':
        if (event.name === undefined) await end('withdrawn', false);
        else await persons.amend(tx, accountId, { name: event.name }, source);
        return;
      case 'number-changed':
        if (event.document === undefined) await end('withdrawn', false);
        // Two accounts would be one person's: the person is proofed again, which leads to linking.
        else if (!(await persons.amend(tx, accountId, { document: event.document }, source)))
          await end('conflict', false);
    }
  }

  return {
    async receive(token) {
      const payload = await verified(token);
      const { iss, jti } = payload;
      const document = toDocument(payload.sub_id, clock.now());
      const event = toEvent(payload.events, clock.now());
      const actor = `register:${iss}`;
      const source: Source = {
        authority: actor,
        trustFramework: iss,
        fictional: false,
        method: 'register-event',
        reference: jti,
      };
      const accountId = await db.transaction(async (tx) => {
        const now = clock.now();
        const added = await tx.query(
          `INSERT INTO register_events (issuer, jti, type, received_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING RETURNING jti`,
          [iss, jti, event.type, now],
        );
        if (added.length === 0) {
          const [known] = await tx.query<{ account_id: AccountId | null }>(
            'SELECT account_id FROM register_events WHERE issuer = $1 AND jti = $2 AND settled_at IS NULL',
            [iss, jti],
          );
          // Taken before, but whoever took it did not come to the end.
          return known?.account_id ?? undefined;
        }
        const holder = await persons.lockHolder(tx, document);
        await tx.query(
          'UPDATE register_events SET account_id = $3, settled_at = $4 WHERE issuer = $1 AND jti = $2',
          [iss, jti, holder ?? null, holder === undefined ? now : null],
        );
        if (holder === undefined) return undefined;
        await apply(tx, holder, event, source);
        await audit.record(tx, {
          type: 'register-event.applied',
          actor,
          subject: holder,
          detail: {
            issuer: iss,
            type: event.type,
            jtiDigest: createHash('sha256').update(jti).digest('hex'),
          },
        });
        return holder;
      });
      if (accountId === undefined) return;
      await parts.endSessions(accountId, actor);
      await db.query('UPDATE register_events SET settled_at = $3 WHERE issuer = $1 AND jti = $2', [
        iss,
        jti,
        clock.now(),
      ]);
    },
  };
}

function keysOf(register: RegisterSource, fetch: OutboundFetch): JWTVerifyGetKey {
  if (register.jwksUri !== undefined)
    return createRemoteJWKSet(new URL(register.jwksUri), {
      timeoutDuration: 5000,
      [customFetch]: (url: string, { headers, signal }: { headers: Headers; signal: AbortSignal }) =>
        fetch(url, { headers: Object.fromEntries(headers), signal, redirect: 'error' }),
    });
  return createLocalJWKSet(register.jwks as Parameters<typeof createLocalJWKSet>[0]);
}

function issuerOf(token: string): string {
  try {
    const { iss } = decodeJwt(token);
    if (typeof iss === 'string') return iss;
  } catch (cause) {
    throw new RegisterEventError('invalid_request', 'The body is no Security Event Token.', { cause });
  }
  throw new RegisterEventError('invalid_request', 'The token names no issuer.');
}

/** What jose says, in the words of RFC 8935. What is no judgement on the token (its keys cannot be reached) is thrown on. */
function toProblem(error: unknown): unknown {
  if (error instanceof RegisterEventError) return error;
  if (error instanceof errors.JWTClaimValidationFailed)
    return error.claim === 'aud'
      ? new RegisterEventError('invalid_audience', 'The token is for somebody else.', { cause: error })
      : new RegisterEventError('invalid_request', `The token is refused for its ${error.claim}.`, {
          cause: error,
        });
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return new RegisterEventError('invalid_key', 'The register has no key that fits.', { cause: error });
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return new RegisterEventError('authentication_failed', 'The signature is not right.', { cause: error });
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return error;
  if (error instanceof errors.JOSEError)
    return new RegisterEventError('invalid_request', 'The body is no Security Event Token.', {
      cause: error,
    });
  return error;
}

function toDocument(member: z.output<typeof documentMember>, now: Date): Document {
  const { kind, number, issuing_country: issuingCountry } = member;
  const reading = readDocument({ kind, number, issuingCountry }, now);
  if ('problem' in reading)
    throw new RegisterEventError('invalid_request', `The document is none: ${reading.problem}.`);
  return reading.document;
}

function toEvent(events: Readonly<Record<string, Readonly<Record<string, unknown>>>>, now: Date): Event {
  const [[uri, members] = ['', {}], ...more] = Object.entries(events);
  const type = uri.startsWith(PREFIX) ? uri.slice(PREFIX.length) : '';
  const refuse = (what: string) => new RegisterEventError('invalid_request', what);
  if (more.length > 0) throw refuse('One event a token.');
  switch (type) {
    case 'death':
    case 'document-void':
      return { type };
    case 'name-changed': {
      const { success, data } = nameChanged.safeParse(members);
      if (!success) throw refuse('The name is none.');
      return { type, name: data.name };
    }
    case 'number-changed': {
      const { success, data } = numberChanged.safeParse(members);
      if (!success) throw refuse('The document is none.');
      return { type, document: data.document && toDocument(data.document, now) };
    }
    default:
      throw refuse('The event is not known here.');
  }
}
