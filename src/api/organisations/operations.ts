/** /api/v1 over organisations, units, members, mandates and what takes two persons. Whose matter it is, the organisations room decides. */
import type { z } from 'zod';
import { DualControlError, type ActRecord, type DualControl } from '../../dual-control/index.ts';
import type { Identity, Limits } from '../../identity/index.ts';
import type { BearerToken, Oidc } from '../../oidc/index.ts';
import {
  APPOINT_ADMINISTRATOR,
  CHANGE_REPRESENTATIVE,
  OrganisationError,
  type Mandate,
  type Membership,
  type Organisation,
  type Organisations,
  type Place,
  type Unit,
} from '../../organisations/index.ts';
import type { Db } from '../../platform/db/db.ts';
import {
  isId,
  type AccountId,
  type Id,
  type OrganisationId,
  type SealId,
  type UnitId,
} from '../../platform/ids.ts';
import { RequestError } from '../errors.ts';
import { operation, type Operation } from '../operation.ts';
import {
  APPROVAL,
  NEW_ADMINISTRATOR,
  NEW_MANDATE,
  NEW_MEMBERSHIP,
  NEW_UNIT,
  PAGE,
  PAGE_OF_PLACE,
  PREFIXES,
  UNIT_CHANGE,
} from './schemas.ts';

const READ = 'organisations:read';
const MANAGE = 'organisations:manage';
const DEFAULT_LIMIT = 50;

export interface OrganisationApiParts {
  readonly db: Db;
  readonly oidc: Pick<Oidc, 'subjectOf' | 'accountOf' | 'recordRelease'>;
  readonly identity: Pick<Identity, 'find'>;
  readonly limits: Limits;
  readonly organisations: Organisations;
  readonly dualControl: DualControl;
}

export function organisationOperations(parts: OrganisationApiParts): Operation[] {
  const { db, oidc, organisations, dualControl } = parts;
  const { mandates } = organisations;

  /**
   * The account of somebody who is named in a body. Asked only after the right of whoever asks: that somebody has an account is told to
   * nobody else, and not often.
   */
  async function personOf(
    { clientId, accountId }: BearerToken,
    { sub, identifier }: { sub?: string | undefined; identifier?: string | undefined },
    address: string,
  ): Promise<AccountId> {
    if ((sub === undefined) === (identifier === undefined))
      throw new RequestError(
        'BODY_INVALID',
        'These members do not fit: exactly one of /sub and /identifier.',
      );
    await parts.limits.take('member-lookup', { address, account: accountId });
    const found =
      identifier === undefined
        ? await oidc.accountOf(sub ?? '', clientId)
        : await parts.identity.find(identifier);
    if (!isId('acc', found)) throw new RequestError('PERSON_UNKNOWN', 'Nobody is known by this.');
    return found;
  }

  async function unitOr404(params: Params): Promise<Unit> {
    const unit = await organisations.unit(idOf(params, 'unitId'));
    if (!unit) throw notHere();
    return unit;
  }

  async function membershipView({ clientId }: BearerToken, each: Membership) {
    return {
      id: each.id,
      organisationId: each.organisation.id,
      unitId: each.unit?.id ?? null,
      role: each.role,
      sub: await oidc.subjectOf(each.accountId, clientId),
      since: each.since.toISOString(),
    };
  }

  async function mandateView({ clientId }: BearerToken, each: Mandate) {
    return {
      id: each.id,
      organisationId: each.organisation.id,
      unitId: each.unit?.id ?? null,
      sub: await oidc.subjectOf(each.agentId, clientId),
      services: each.services,
      seals: each.seals,
      purpose: each.purpose,
      validFrom: each.validFrom.toISOString(),
      validTo: each.validTo.toISOString(),
      grantedAt: each.grantedAt.toISOString(),
      revokedAt: each.revokedAt?.toISOString() ?? null,
    };
  }

  async function actView({ clientId }: BearerToken, each: ActRecord) {
    const { accountId, unitId } = subjectOfAct(each);
    return {
      id: each.id,
      act: each.act,
      organisationId: each.scope,
      unitId: unitId ?? null,
      sub: await oidc.subjectOf(accountId, clientId),
      state: each.state,
      digest: each.digest,
      requestedAt: each.requestedAt.toISOString(),
      expiresAt: each.expiresAt.toISOString(),
      approvals: each.approvers.length,
      approvalsNeeded: each.approvalsNeeded,
    };
  }

  /** Somebody's mandate, for its agent and for whoever may see what its grantor granted. */
  async function seenMandate(actor: BearerToken, params: Params): Promise<Mandate> {
    const mandate = await mandates.mandate(idOf(params, 'mandateId'));
    if (!mandate) throw notHere();
    if (mandate.agentId !== actor.accountId)
      await organisations.require(actor.accountId, 'see-mandates', placeOf(mandate));
    return mandate;
  }

  /** An act of an organisation, for whoever asked for it and for those who manage its place. */
  async function seenAct({ accountId }: BearerToken, params: Params): Promise<ActRecord> {
    const scope = idOf(params, 'organisationId');
    const act = await dualControl.find(scope, idOf(params, 'actId'));
    if (act?.requestedBy !== accountId) {
      const unitId = act && isOurs(act) ? subjectOfAct(act).unitId : undefined;
      await organisations.require(accountId, 'manage-members', { organisationId: scope, unitId });
    }
    if (!act || !isOurs(act)) throw notHere();
    return act;
  }

  /** One of the four things that are done with an act. */
  const step = (
    word: 'refusal' | 'withdrawal' | 'execution',
    summary: string,
    take: (part: { scope: string; id: string; by: string }) => Promise<unknown>,
  ) =>
    operation(
      {
        method: 'post',
        path: `/organisations/{organisationId}/acts/{actId}/${word}`,
        scope: MANAGE,
        summary,
        answers: { status: 200, schema: 'Act' },
        problems: [403, 409],
      },
      async ({ actor, params }) => {
        const { id, scope } = await seenAct(actor, params);
        await take({ scope, id, by: actor.accountId });
        return { body: await actView(actor, await seenAct(actor, params)) };
      },
    );

  return [
    operation(
      {
        method: 'get',
        path: '/organisations',
        scope: READ,
        summary: 'For whom the person may act: by roles, and by mandates',
        answers: { status: 200, schema: 'Organisations' },
      },
      async ({ actor }) => {
        const acting = await organisations.actingFor(actor.accountId);
        // For whom somebody acts says where they work.
        await oidc.recordRelease({ ...actor, claims: ['organisations'] });
        return {
          body: {
            items: acting.map(({ organisation, unit, roles, mandate }) => ({
              organisation: organisationView(organisation),
              unitId: unit?.id ?? null,
              roles,
              mandateId: mandate?.id ?? null,
            })),
          },
        };
      },
    ),
    operation(
      {
        method: 'get',
        path: '/organisations/{organisationId}',
        scope: READ,
        summary: 'An organisation, for whoever holds a role in it',
        answers: { status: 200, schema: 'Organisation' },
      },
      async ({ actor, params }) => {
        const id = idOf(params, 'organisationId');
        await organisations.sight(actor.accountId, id);
        const organisation = await organisations.organisation(id);
        if (!organisation) throw notHere();
        return { body: organisationView(organisation) };
      },
    ),

    operation(
      {
        method: 'get',
        path: '/organisations/{organisationId}/units',
        scope: READ,
        summary: 'The units that the roles of the person reach, by age',
        query: PAGE,
        answers: { status: 200, schema: 'Units' },
      },
      async ({ actor, params, query }) => {
        const id = idOf(params, 'organisationId');
        const may = await organisations.sight(actor.accountId, id);
        const { limit, after } = pageOf(query);
        const seen = (await organisations.units({ id })).filter((unit) => may('see', unit.id));
        const rest = seen.filter((unit) => after === undefined || unit.id > after);
        return { body: page(rest.slice(0, limit + 1), limit, unitView) };
      },
    ),
    operation(
      {
        method: 'post',
        path: '/organisations/{organisationId}/units',
        scope: MANAGE,
        summary: 'Make a unit',
        body: { name: 'NewUnit', schema: NEW_UNIT },
        answers: { status: 201, schema: 'Unit' },
        problems: [403, 409, 422],
      },
      async ({ actor, params, body }) => {
        const id = idOf(params, 'organisationId');
        const unit = await organisations.createUnit(
          { id },
          body.name,
          actor.accountId,
          unitId(body.parentId),
        );
        return { location: `/api/v1/units/${unit.id}`, body: unitView(unit) };
      },
    ),
    operation(
      {
        method: 'get',
        path: '/units/{unitId}',
        scope: READ,
        summary: 'A unit that the roles of the person reach',
        answers: { status: 200, schema: 'Unit' },
        problems: [403],
      },
      async ({ actor, params }) => {
        const unit = await unitOr404(params);
        await organisations.require(actor.accountId, 'see', {
          organisationId: unit.organisation.id,
          unitId: unit.id,
        });
        return { body: unitView(unit) };
      },
    ),
    operation(
      {
        method: 'patch',
        path: '/units/{unitId}',
        scope: MANAGE,
        summary:
          'Rename a unit, or move it with all that is below it (`parentId` null: right under the organisation)',
        body: { name: 'UnitChange', schema: UNIT_CHANGE },
        answers: { status: 200, schema: 'Unit' },
        problems: [403, 409, 422],
      },
      async ({ actor, params, body }) => {
        const { id } = await unitOr404(params);
        if ((body.parentId === undefined) === (body.name === undefined))
          throw new RequestError(
            'BODY_INVALID',
            'These members do not fit: exactly one of /name and /parentId.',
          );
        if (body.parentId !== undefined)
          await organisations.moveUnit(id, unitId(body.parentId ?? undefined), actor.accountId);
        if (body.name !== undefined) await organisations.renameUnit(id, body.name, actor.accountId);
        const unit = await unitOr404(params);
        await organisations.require(actor.accountId, 'see', {
          organisationId: unit.organisation.id,
          unitId: id,
        });
        return { body: unitView(unit) };
      },
    ),
    operation(
      {
        method: 'delete',
        path: '/units/{unitId}',
        scope: MANAGE,
        summary: 'Close a unit for good, with the roles and mandates in it',
        problems: [403, 409],
      },
      async ({ actor, params }) => {
        await organisations.closeUnit(idOf(params, 'unitId'), actor.accountId);
        return {};
      },
    ),

    operation(
      {
        method: 'get',
        path: '/organisations/{organisationId}/members',
        scope: READ,
        summary: 'Who holds which role in an organisation, or in one unit of it, by age',
        query: PAGE_OF_PLACE,
        answers: { status: 200, schema: 'Memberships' },
        problems: [403],
      },
      async ({ actor, params, query }) => {
        const place = placeIn(params, query);
        await organisations.require(actor.accountId, 'see-members', place);
        const { limit, after } = pageOf(query);
        const found = await organisations.members(place, { limit: limit + 1, after });
        return { body: await pageAsync(found, limit, (each) => membershipView(actor, each)) };
      },
    ),
    operation(
      {
        method: 'post',
        path: '/organisations/{organisationId}/members',
        scope: MANAGE,
        summary: 'Give somebody a role',
        body: { name: 'NewMembership', schema: NEW_MEMBERSHIP },
        answers: { status: 201, schema: 'Membership' },
        problems: [403, 409, 422, 429],
      },
      async ({ actor, params, body, address }) => {
        const place = placeIn(params, body);
        await organisations.require(actor.accountId, 'manage-members', place);
        const accountId = await personOf(actor, body, address);
        const { organisationId } = place;
        await requireWithin(place);
        const membership = await organisations.grant(
          place.unitId === undefined
            ? { accountId, role: body.role, organisationId }
            : { accountId, role: body.role, unitId: place.unitId },
          actor.accountId,
        );
        return { body: await membershipView(actor, membership) };
      },
    ),
    operation(
      {
        method: 'delete',
        path: '/memberships/{membershipId}',
        scope: MANAGE,
        summary: 'End a role, or give up one of your own',
        problems: [403],
      },
      async ({ actor, params }) => {
        const id = idOf(params, 'membershipId');
        const membership = await organisations.membership(id);
        await (membership?.accountId === actor.accountId
          ? organisations.giveUp(id, actor.accountId)
          : organisations.end(id, actor.accountId));
        return {};
      },
    ),

    operation(
      {
        method: 'get',
        path: '/organisations/{organisationId}/mandates',
        scope: READ,
        summary: 'What an organisation, or one unit of it, has granted, by age',
        query: PAGE_OF_PLACE,
        answers: { status: 200, schema: 'Mandates' },
        problems: [403],
      },
      async ({ actor, params, query }) => {
        const place = placeIn(params, query);
        await organisations.require(actor.accountId, 'see-mandates', place);
        const { limit, after } = pageOf(query);
        const found = await mandates.granted(place, { limit: limit + 1, after });
        return { body: await pageAsync(found, limit, (each) => mandateView(actor, each)) };
      },
    ),
    operation(
      {
        method: 'post',
        path: '/organisations/{organisationId}/mandates',
        scope: MANAGE,
        summary: 'Let an agent act for an organisation or one of its units',
        body: { name: 'NewMandate', schema: NEW_MANDATE },
        answers: { status: 201, schema: 'Mandate' },
        problems: [403, 409, 422, 429],
      },
      async ({ actor, params, body, address }) => {
        const place = placeIn(params, body);
        await organisations.require(actor.accountId, 'manage-mandates', place);
        const agentId = await personOf(actor, body, address);
        const mandate = await mandates.grant(
          {
            ...place,
            agentId,
            services: body.services,
            seals: body.seals.filter((seal): seal is SealId => isId('seal', seal)),
            purpose: body.purpose,
            validFrom: body.validFrom === undefined ? undefined : new Date(body.validFrom),
            validTo: new Date(body.validTo),
          },
          actor.accountId,
        );
        return { location: `/api/v1/mandates/${mandate.id}`, body: await mandateView(actor, mandate) };
      },
    ),
    operation(
      {
        method: 'get',
        path: '/mandates',
        scope: READ,
        summary: 'What the person was granted as an agent, by age',
        query: PAGE,
        answers: { status: 200, schema: 'Mandates' },
      },
      async ({ actor, query }) => {
        const { limit, after } = pageOf(query);
        const found = await mandates.ofAgent(actor.accountId, { limit: limit + 1, after });
        return { body: await pageAsync(found, limit, (each) => mandateView(actor, each)) };
      },
    ),
    operation(
      {
        method: 'get',
        path: '/mandates/{mandateId}',
        scope: READ,
        summary: 'A mandate, for its grantor and its agent',
        answers: { status: 200, schema: 'Mandate' },
        problems: [403],
      },
      async ({ actor, params }) => ({ body: await mandateView(actor, await seenMandate(actor, params)) }),
    ),
    operation(
      {
        method: 'delete',
        path: '/mandates/{mandateId}',
        scope: MANAGE,
        summary: 'Revoke a mandate at once, or give up one of your own',
        problems: [403],
      },
      async ({ actor, params }) => {
        const id = idOf(params, 'mandateId');
        const mandate = await mandates.mandate(id);
        await (mandate?.agentId === actor.accountId
          ? mandates.giveUp(id, actor.accountId)
          : mandates.revoke(id, actor.accountId));
        return {};
      },
    ),
    operation(
      {
        method: 'get',
        path: '/mandates/{mandateId}/uses',
        scope: READ,
        summary: 'Every use of a mandate, by age, for its grantor and its agent',
        query: PAGE,
        answers: { status: 200, schema: 'MandateUses' },
        problems: [403],
      },
      async ({ actor, params, query }) => {
        const { id } = await seenMandate(actor, params);
        const { limit, after } = pageOf(query);
        const found = await mandates.uses(id, { limit: limit + 1, after });
        return {
          body: page(found, limit, (use) => ({
            id: use.id,
            at: use.at.toISOString(),
            service: use.service ?? null,
            sealId: use.sealId ?? null,
          })),
        };
      },
    ),

    operation(
      {
        method: 'get',
        path: '/organisations/{organisationId}/acts',
        scope: READ,
        summary: 'What was asked for in an organisation and takes two persons, the newest first',
        answers: { status: 200, schema: 'Acts' },
        problems: [403],
      },
      async ({ actor, params }) => {
        const organisationId = idOf(params, 'organisationId');
        await organisations.require(actor.accountId, 'manage-members', { organisationId });
        const acts = (await dualControl.list(organisationId)).filter(isOurs);
        return { body: { items: await Promise.all(acts.map((act) => actView(actor, act))) } };
      },
    ),
    operation(
      {
        method: 'post',
        path: '/organisations/{organisationId}/acts',
        scope: MANAGE,
        summary: 'Ask for a new administrator; another who manages the place approves it',
        body: { name: 'NewAdministrator', schema: NEW_ADMINISTRATOR },
        answers: { status: 201, schema: 'Act' },
        problems: [403, 422, 429],
      },
      async ({ actor, params, body, address }) => {
        const place = placeIn(params, body);
        await organisations.require(actor.accountId, 'manage-members', place);
        await requireWithin(place);
        const accountId = await personOf(actor, body, address);
        const act = await db.transaction((tx) =>
          dualControl.request(tx, {
            act: APPOINT_ADMINISTRATOR,
            parameters: { accountId, unitId: place.unitId ?? null },
            requestedBy: actor.accountId,
            scope: place.organisationId,
          }),
        );
        return {
          location: `/api/v1/organisations/${place.organisationId}/acts/${act.id}`,
          body: await actView(actor, act),
        };
      },
    ),
    operation(
      {
        method: 'get',
        path: '/organisations/{organisationId}/acts/{actId}',
        scope: READ,
        summary: 'Something that takes two persons',
        answers: { status: 200, schema: 'Act' },
        problems: [403],
      },
      async ({ actor, params }) => ({ body: await actView(actor, await seenAct(actor, params)) }),
    ),
    operation(
      {
        method: 'post',
        path: '/organisations/{organisationId}/acts/{actId}/approval',
        scope: MANAGE,
        summary: 'Approve what another asked for, by the digest of what was seen',
        body: { name: 'Approval', schema: APPROVAL },
        answers: { status: 200, schema: 'Act' },
        problems: [403, 409, 422],
      },
      async ({ actor, params, body }) => {
        const { id, scope } = await seenAct(actor, params);
        const act = await dualControl.approve({ scope, id, by: actor.accountId, digest: body.digest });
        return { body: await actView(actor, act) };
      },
    ),
    step('refusal', 'Refuse what another asked for', (part) => dualControl.refuse(part)),
    step('withdrawal', 'Take back what one asked for', (part) => dualControl.withdraw(part)),
    step('execution', 'Have it done, once it is approved', (part) => dualControl.execute(part)),
  ];

  /** A unit that is named beside an organisation lies in it. */
  async function requireWithin({ organisationId, unitId: id }: Place): Promise<void> {
    if (id !== undefined && (await organisations.unit(id))?.organisation.id !== organisationId)
      throw notHere();
  }
}

type Params = Readonly<Record<string, string>>;

/** An identifier in the path. Whatever has another form names nothing. */
function idOf<N extends keyof typeof PREFIXES>(params: Params, name: N): Id<(typeof PREFIXES)[N]> {
  const given = params[name];
  const prefix: (typeof PREFIXES)[N] = PREFIXES[name];
  if (!isId(prefix, given)) throw notHere();
  return given;
}

function unitId(text: string | undefined): UnitId | undefined {
  return isId('unit', text) ? text : undefined;
}

function placeIn(
  params: Params,
  named: { readonly unitId?: string | undefined },
): Place & { organisationId: OrganisationId } {
  return { organisationId: idOf(params, 'organisationId'), unitId: unitId(named.unitId) };
}

function placeOf({ organisation, unit }: Mandate): Place {
  return { organisationId: organisation.id, unitId: unit?.id };
}

function pageOf({ cursor, limit }: z.output<typeof PAGE>): { limit: number; after: string | undefined } {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('latin1');
  if (after !== undefined && !/^[a-z]{2,5}_[0-9a-z]{26}$/.test(after))
    throw new RequestError('PARAMETER_INVALID', 'These parameters do not fit: /cursor.');
  return {
    limit: limit === undefined ? DEFAULT_LIMIT : Number(limit),
    after,
  };
}

/** @param found One more than `limit`, if there are so many. */
function page<T extends { readonly id: string }, V>(
  found: readonly T[],
  limit: number,
  view: (each: T) => V,
): { items: V[]; next: string | null } {
  const items = found.slice(0, limit);
  const last = found.length > limit ? items.at(-1) : undefined;
  return { items: items.map(view), next: last ? Buffer.from(last.id, 'latin1').toString('base64url') : null };
}

async function pageAsync<T extends { readonly id: string }, V>(
  found: readonly T[],
  limit: number,
  view: (each: T) => Promise<V>,
): Promise<{ items: V[]; next: string | null }> {
  const { items, next } = page(found, limit, (each) => each);
  return { items: await Promise.all(items.map(view)), next };
}

function isOurs({ act }: ActRecord): boolean {
  return act === APPOINT_ADMINISTRATOR || act === CHANGE_REPRESENTATIVE;
}

/** Whom an act is about, and in which place. */
function subjectOfAct({ parameters }: ActRecord): { accountId: AccountId; unitId: UnitId | undefined } {
  const { accountId, unitId: unit } = parameters as { accountId?: unknown; unitId?: unknown };
  if (!isId('acc', accountId)) throw new DualControlError('ACT_PARAMETERS', 'The act is about nobody.');
  return { accountId, unitId: isId('unit', unit) ? unit : undefined };
}

function organisationView(each: Organisation) {
  const { id, unifiedSocialCreditCode, name, kind, region, state } = each;
  return { id, unifiedSocialCreditCode, name, kind, region, state };
}

function unitView({ id, organisation, parentId, name, state }: Unit) {
  return { id, organisationId: organisation.id, parentId: parentId ?? null, name, state };
}

function notHere(): OrganisationError {
  return new OrganisationError(
    'NOT_FOUND_HERE',
    'There is nothing at this address, or it is not yours to see.',
  );
}
