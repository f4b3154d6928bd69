/**
 * How an organisation comes to be here, and how it comes to be represented: a person whose identity is sure enough is confirmed by a register to be
 * its legal representative. Where others are responsible already, one of them agrees to it.
 */
import { randomUUID } from 'node:crypto';
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import { isUniqueViolation, type Db, type Queryable } from '../platform/db/db.ts';
import type { ActRecord, DualControl } from '../dual-control/index.ts';
import { newId, type AccountId, type OrganisationId } from '../platform/ids.ts';
import { CHANGE_REPRESENTATIVE } from './acts.ts';
import { notHere, type Changes, type Scene } from './changes.ts';
import { OrganisationError } from './errors.ts';
import type { Memberships } from './memberships.ts';
import { existsAlready, type Registry } from './organisations.ts';
import type { NaturalPerson, OrganisationRegister } from './register/register.ts';
import type { Organisation } from './rows.ts';
import { isUnifiedSocialCreditCode } from './unified-social-credit-code.ts';

/** Level of assurance at which a person speaks for an organisation: who they are was checked live, and they have just shown two factors. */
export const FOUNDING_LEVEL = 3;

export interface FoundingRequest {
  readonly accountId: AccountId;
  /** What the person's sign-in is worth now (`config/assurance.json`). */
  readonly level: number;
  readonly unifiedSocialCreditCode: string;
}

export type Founded =
  /** The organisation is here now, or had nobody to answer for it: the person represents it. */
  | { readonly kind: 'founded'; readonly organisation: Organisation }
  /** The person represents it already. */
  | { readonly kind: 'known'; readonly organisation: Organisation }
  /** Somebody answers for it: the change of its representative was asked for, and is theirs to approve. */
  | { readonly kind: 'requested'; readonly organisation: Organisation; readonly act: ActRecord };

export interface Founding {
  /** The register that is asked; undefined: nobody can found an organisation by themselves here. */
  readonly register: Pick<OrganisationRegister, 'id' | 'name' | 'fictional'> | undefined;
  /**
   * @throws {OrganisationError} CREDIT_CODE_INVALID; LEVEL_INSUFFICIENT; REGISTER_MISSING, REGISTER_UNAVAILABLE; REPRESENTATIVE_REFUSED: the
   * register does not confirm it; ORGANISATION_NOT_ACTIVE; DUTIES_SEPARATE.
   */
  prove(request: FoundingRequest): Promise<Founded>;
  /** Whether a proof that an account represents an organisation is there, and not too old to change its representative by. */
  isProven(
    tx: Queryable,
    proof: { id: string; accountId: AccountId; organisationId: OrganisationId },
  ): Promise<boolean>;
}

/** How long a register's word is good for a change that waits for its second person. */
const PROOF_DAYS = 30;
const DAY_MS = 86_400_000;

export function createFounding(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  changes: Changes;
  registry: Registry;
  memberships: Memberships;
  register: OrganisationRegister | undefined;
  /** Asks for what takes two persons. */
  request: DualControl['request'];
  /** Who a person is, as an authority confirmed it at the founding level or above. */
  person: (accountId: AccountId) => Promise<NaturalPerson | undefined>;
}): Founding {
  const { db, clock, audit, changes, registry, memberships, register } = parts;

  async function keepProof(
    tx: Queryable,
    accountId: AccountId,
    organisationId: OrganisationId,
    from: string,
    reference: string,
  ): Promise<string> {
    const id = newId('prv', clock.now());
    await tx.query(
      `INSERT INTO representative_proofs (id, account_id, organisation_id, register, reference, proven_at)
         VALUES ($1, $2, $3, $4, $5, $6)`,
      [id, accountId, organisationId, from, reference, clock.now()],
    );
    return id;
  }

  return {
    register,

    async prove({ accountId, level, unifiedSocialCreditCode }) {
      if (!register)
        throw new OrganisationError('REGISTER_MISSING', 'No register of organisations is set up here.');
      if (!isUnifiedSocialCreditCode(unifiedSocialCreditCode))
        throw new OrganisationError(
          'CREDIT_CODE_INVALID',
          'The unified social credit code is not valid (GB 32100).',
        );
      const person = level >= FOUNDING_LEVEL ? await parts.person(accountId) : undefined;
      if (!person)
        throw new OrganisationError(
          'LEVEL_INSUFFICIENT',
          'Prove who you are, with a live check, before you speak for an organisation.',
        );
      const answer = await register.confirm({ requestId: randomUUID(), unifiedSocialCreditCode, person });
      if (answer.kind === 'unavailable')
        throw new OrganisationError(
          'REGISTER_UNAVAILABLE',
          'The register of organisations does not answer. Try again shortly.',
        );
      if (answer.kind === 'refused')
        throw new OrganisationError(
          'REPRESENTATIVE_REFUSED',
          'The register does not confirm that you represent this organisation.',
        );
      const found = await registry.findByCode(unifiedSocialCreditCode);
      try {
        return await db.transaction(async (tx): Promise<Founded> => {
          const organisation =
            found ??
            (await registry.foundIn(tx, { unifiedSocialCreditCode, ...answer.organisation }, accountId));
          const scene = await changes.lock(tx, organisation.id);
          if (!scene) throw notHere();
          if (scene.organisation.state !== 'active')
            throw new OrganisationError(
              'ORGANISATION_NOT_ACTIVE',
              'The organisation is suspended or dissolved.',
            );
          const answering = await answeringFor(tx, scene);
          const proofId = await keepProof(tx, accountId, organisation.id, register.id, answer.reference);
          const isOwn = answering.some((each) => each.accountId === accountId && each.represents);
          const kind = isOwn ? 'known' : answering.length > 0 ? 'requested' : 'founded';
          if (kind === 'founded')
            await memberships.appoint(
              tx,
              scene,
              { accountId, organisationId: organisation.id, role: 'legal-representative' },
              accountId,
            );
          await audit.record(tx, {
            type: 'organisation.representative-proven',
            actor: accountId,
            subject: organisation.id,
            detail: { proofId, register: register.id, fictional: register.fictional },
          });
          if (kind !== 'requested') return { kind, organisation };
          const act = await parts.request(tx, {
            act: CHANGE_REPRESENTATIVE,
            parameters: { accountId, proofId },
            requestedBy: accountId,
            scope: organisation.id,
            expiresAt: new Date(clock.now().getTime() + PROOF_DAYS * DAY_MS),
          });
          return { kind, organisation, act };
        });
      } catch (cause) {
        // Another who proved the same was quicker.
        if (isUniqueViolation(cause)) throw existsAlready(cause);
        throw cause;
      }
    },

    async isProven(tx, { id, accountId, organisationId }) {
      const rows = await tx.query(
        'SELECT id FROM representative_proofs WHERE id = $1 AND account_id = $2 AND organisation_id = $3 AND proven_at > $4',
        [id, accountId, organisationId, new Date(clock.now().getTime() - PROOF_DAYS * DAY_MS)],
      );
      return rows.length > 0;
    },
  };
}

/** Who answers for the whole organisation: its legal representative and its administrators. */
async function answeringFor(
  tx: Queryable,
  { organisation }: Scene,
): Promise<{ accountId: AccountId; represents: boolean }[]> {
  const rows = await tx.query<{ account_id: AccountId; role: string }>(
    `SELECT account_id, role FROM memberships
      WHERE organisation_id = $1 AND unit_id IS NULL AND role IN ('legal-representative', 'administrator')`,
    [organisation.id],
  );
  return rows.map(({ account_id, role }) => ({
    accountId: account_id,
    represents: role === 'legal-representative',
  }));
}
