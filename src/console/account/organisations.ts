/**
 * Organisations, for whoever acts in one: for whom they act from now on, and of each place where they hold a role its units, members,
 * mandates with their uses, and what takes two persons. Who may do what is asked of the organisations room; the pages show no more.
 */
import { APPOINT_ADMINISTRATOR, DUTIES, OrganisationError, ROLES } from '../../organisations/index.ts';
import type {
  Authority,
  Mandate,
  Organisation,
  Place,
  Right,
  Role,
  Unit,
} from '../../organisations/index.ts';
import { DualControlError, type ActRecord } from '../../dual-control/index.ts';
import { actingOf, ORGANISATION_SCOPE, shownAuthority, wordOf } from '../../oidc/index.ts';
import { isId, type AccountId } from '../../platform/ids.ts';
import type { Context, Middleware } from '../../platform/http/context.ts';
import { HttpError } from '../../platform/http/errors.ts';
import { portalName } from '../../portals/index.ts';
import type { Demand, FieldError, Notice, Person } from './door.ts';
import { maskedIdentifiers } from './identifiers.ts';
import type { Subject } from './routes.ts';

const PATH = '/account/organisations';
/** Members, mandates and uses on one page; who has more reads on. */
const PAGE = 50;
const DAY_MS = 86_400_000;
/** What others do in an organisation is seen and changed by whoever has lately shown all that their account can show. */
const SEE = { full: true } as const;
/** Who is sent to show more comes back to the list: a form of theirs is lost. */
const CHANGE = { full: true, page: PATH } as const;
const NAME_MAX = 60;
const PURPOSE_MAX = 200;

/** Where a page is, and what its reader may do there. */
interface Standing extends Person {
  readonly organisation: Organisation;
  readonly unit: Unit | undefined;
  readonly place: Place;
  readonly path: string;
  may(right: Right): boolean;
}

export function organisationPages(subject: Subject): void {
  const { router, door, organisations, own, identity } = subject;

  /** How a person is shown to others of their organisation: by what they have chosen to be called, or with its middle hidden. */
  async function labelOf(ctx: Context, accountId: string): Promise<string> {
    const account = await identity.account(accountId);
    const known = account && maskedIdentifiers(account).find(({ value }) => value !== undefined);
    return known?.value ?? ctx.state.language.t('organisation.somebody');
  }

  async function renderAll(ctx: Context, { account }: Person, notice?: Notice): Promise<void> {
    const { language } = ctx.state;
    const [possible, current] = await Promise.all([organisations.actingFor(account.id), own.acting(ctx)]);
    const chosen = current && wordOf(current.as);
    const managed = new Map(
      (await organisations.membershipsOf(account.id)).map(({ organisation }) => [
        organisation.id,
        organisation,
      ]),
    );
    const shown = (authority: Authority) => {
      const each = shownAuthority(authority, language);
      return { ...each, current: each.word === chosen };
    };
    door.render(ctx, 'account-organisations', PATH, {
      notice,
      choices: possible.map(shown),
      self: { word: wordOf(null), current: chosen === wordOf(null) },
      action: `${PATH}/acting`,
      managed: [...managed.values()].map(({ id, name }) => ({ name, href: `${PATH}/${id}` })),
    });
  }

  router.get(
    '/organisations',
    door.personal({}, (ctx, person) => renderAll(ctx, person)),
  );
  router.post(
    '/organisations/acting',
    door.personal({ page: PATH }, async (ctx, person, form) => {
      const word = form.get('as');
      const possible = await organisations.actingFor(person.account.id);
      const chosen = possible.find((authority) => wordOf(actingOf(authority)) === word);
      // What was on the page may have ended since.
      if (!chosen && word !== wordOf(null)) return renderAll(ctx, person);
      await own.switchActing(ctx, person.account.id, chosen ? actingOf(chosen) : null);
      await renderAll(ctx, person, { key: 'organisations.switched' });
    }),
  );

  /** Runs `handle` at an organisation, or at one of its units, for whoever holds something in it. */
  function at(
    demand: Demand,
    handle: (ctx: Context, standing: Standing, form: ReadonlyMap<string, string>) => Promise<void>,
  ): Middleware {
    return door.personal(demand, async (ctx, person, form) => {
      const { organisation: id, unit: unitId } = ctx.params as { organisation: string; unit?: string };
      const organisation = isId('org', id) ? await organisations.organisation(id) : undefined;
      const unit = isId('unit', unitId) ? await organisations.unit(unitId) : undefined;
      const isThere =
        organisation !== undefined && (unitId === undefined || unit?.organisation.id === organisation.id);
      if (!isThere) throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
      const sight = await organisations.sight(person.account.id, organisation.id);
      const base = `${PATH}/${organisation.id}`;
      await handle(
        ctx,
        {
          ...person,
          organisation,
          unit,
          place: { organisationId: organisation.id, unitId: unit?.id },
          path: unit ? `${base}/units/${unit.id}` : base,
          may: (right) => sight(right, unit?.id),
        },
        form,
      );
    });
  }

  async function renderPlace(
    ctx: Context,
    standing: Standing,
    { notice, errors = [], values = {} }: Shown = {},
  ): Promise<void> {
    const { organisation, unit, place, path, may } = standing;
    const { t } = ctx.state.language;
    const [units, members] = await Promise.all([
      organisations.units(organisation),
      may('see-members') ? organisations.members(place, { limit: PAGE, after: cursorOf(ctx) }) : [],
    ]);
    const base = `${PATH}/${organisation.id}`;
    const parent = units.find(({ id }) => id === unit?.parentId);
    door.render(ctx, 'organisation', path, {
      notice,
      errors,
      values,
      name: unit?.name ?? organisation.name,
      above: unit
        ? [
            { name: organisation.name, href: base },
            ...(parent ? [{ name: parent.name, href: `${base}/units/${parent.id}` }] : []),
          ]
        : [],
      facts: unit
        ? []
        : [
            { key: 'organisation.code', value: organisation.unifiedSocialCreditCode },
            { key: 'organisation.state', value: t(`organisation.state.${organisation.state}`) },
          ],
      units: units
        .filter(({ parentId }) => parentId === unit?.id)
        .map(({ id, name }) => ({ name, href: `${base}/units/${id}` })),
      unitAction: may('manage-units') ? `${path}/create-unit` : undefined,
      renameAction: unit && may('manage-units') ? `${path}/rename` : undefined,
      closeAction: unit && may('manage-units') ? `${path}/close` : undefined,
      seesMembers: may('see-members'),
      members: await Promise.all(
        members.map(async ({ id, accountId, unit: heldOn, role, since }) => ({
          name: await labelOf(ctx, accountId),
          role: t(`role.${role}`),
          place: heldOn && heldOn.id !== unit?.id ? heldOn.name : undefined,
          since: door.when(ctx, since),
          // Those take two persons, or an act of their own.
          endAction:
            may('manage-members') && !DUTIES.twoPersons.includes(role) ? `${path}/end-role` : undefined,
          word: id,
        })),
      ),
      nextHref: members.length === PAGE ? `${path}?after=${members.at(-1)?.id ?? ''}` : undefined,
      appointAction: may('manage-members') ? `${path}/appoint` : undefined,
      roles: ROLES.filter(
        (role) => DUTIES.roles[role].heldOn.includes(unit ? 'unit' : 'organisation') && isGrantable(role),
      ).map((role) => ({ word: role, name: t(`role.${role}`) })),
      mandatesHref: may('see-mandates') ? `${path}/mandates` : undefined,
      actsHref: !unit && may('manage-members') ? `${path}/acts` : undefined,
    });
  }

  /** Does something, and says on the place's page what was wrong with it. */
  async function attempt(
    ctx: Context,
    standing: Standing,
    form: ReadonlyMap<string, string>,
    done: string,
    work: () => Promise<Standing | void>,
  ): Promise<void> {
    let after: Standing | void;
    try {
      after = await work();
    } catch (error) {
      return renderPlace(ctx, standing, { errors: [problemOf(error)], values: Object.fromEntries(form) });
    }
    await renderPlace(ctx, after ?? standing, { notice: { key: done } });
  }

  /** Somebody whom a manager names. That they have an account is told to managers alone, and not often. */
  async function personNamed(ctx: Context, { account }: Person, identifier: string): Promise<AccountId> {
    if (identifier.trim() === '') throw new Wrong('identifier', 'error.memberMissing');
    await own.guard.count(ctx, 'member-lookup', { accountId: account.id });
    const found = await identity.find(identifier.trim());
    if (found === undefined) throw new Wrong('identifier', 'error.memberUnknown');
    return found;
  }

  for (const path of ['/organisations/:organisation', '/organisations/:organisation/units/:unit']) {
    router.get(
      path,
      at(SEE, (ctx, standing) => renderPlace(ctx, standing)),
    );
    router.post(
      `${path}/create-unit`,
      at(CHANGE, (ctx, standing, form) =>
        attempt(ctx, standing, form, 'organisation.unitCreated', async () => {
          const { organisation, unit, account } = standing;
          const name = textOf(form, 'unitName', NAME_MAX, 'error.unitName');
          await organisations.createUnit(organisation, name, account.id, unit?.id);
        }),
      ),
    );
    router.post(
      `${path}/appoint`,
      at(CHANGE, async (ctx, standing, form) => {
        const role = ROLES.find((each) => each === form.get('role'));
        const { account, place } = standing;
        const two = role !== undefined && DUTIES.twoPersons.includes(role);
        await attempt(
          ctx,
          standing,
          form,
          two ? 'organisation.asked' : 'organisation.appointed',
          async () => {
            if (role === undefined || !isGrantable(role)) throw new Wrong('form', 'error.roleUnknown');
            // Asked first, so that nobody looks people up who may appoint none.
            await organisations.require(account.id, 'manage-members', place);
            const accountId = await personNamed(ctx, standing, form.get('identifier') ?? '');
            const { organisationId, unitId } = place;
            if (two)
              await subject.db.transaction((tx) =>
                subject.dualControl.request(tx, {
                  act: APPOINT_ADMINISTRATOR,
                  parameters: { accountId, unitId: unitId ?? null },
                  requestedBy: account.id,
                  scope: organisationId,
                }),
              );
            else
              await organisations.grant(
                unitId === undefined ? { accountId, role, organisationId } : { accountId, role, unitId },
                account.id,
              );
          },
        );
      }),
    );
    router.post(
      `${path}/end-role`,
      at(CHANGE, (ctx, standing, form) =>
        attempt(ctx, standing, form, 'organisation.ended', () =>
          organisations.end(form.get('membership') ?? '', standing.account.id),
        ),
      ),
    );
    mandatePages(subject, path, { at, labelOf, personNamed });
  }

  router.post(
    '/organisations/:organisation/units/:unit/rename',
    at(CHANGE, (ctx, standing, form) =>
      attempt(ctx, standing, form, 'organisation.renamed', async () => {
        const { unit, account } = standing;
        if (!unit) return;
        const name = textOf(form, 'name', NAME_MAX, 'error.unitName');
        return { ...standing, unit: await organisations.renameUnit(unit.id, name, account.id) };
      }),
    ),
  );
  router.post(
    '/organisations/:organisation/units/:unit/close',
    at(CHANGE, async (ctx, standing, form) => {
      const { unit, account, organisation } = standing;
      if (!unit) return;
      await attempt(ctx, standing, form, 'organisation.unitClosed', async () => {
        await organisations.closeUnit(unit.id, account.id);
        const sight = await organisations.sight(account.id, organisation.id);
        return {
          ...standing,
          unit: undefined,
          place: { organisationId: organisation.id },
          path: `${PATH}/${organisation.id}`,
          may: (right) => sight(right, undefined),
        };
      });
    }),
  );
  actPages(subject, { at, labelOf });
}

interface Shown {
  readonly notice?: Notice;
  readonly errors?: readonly FieldError[];
  readonly values?: Readonly<Record<string, string>>;
}

interface Shared {
  at(
    demand: Demand,
    handle: (ctx: Context, standing: Standing, form: ReadonlyMap<string, string>) => Promise<void>,
  ): Middleware;
  labelOf(ctx: Context, accountId: string): Promise<string>;
  personNamed(ctx: Context, person: Person, identifier: string): Promise<AccountId>;
}

function mandatePages(
  { router, door, organisations, portals, clock }: Subject,
  path: string,
  { at, labelOf, personNamed }: Shared,
): void {
  async function services(ctx: Context) {
    const all = await portals.all();
    return all
      .filter(({ scopes, state }) => scopes.includes(ORGANISATION_SCOPE) && state !== 'suspended')
      .map((portal) => ({ word: portal.clientId, name: portalName(portal, ctx.state.language.code) }));
  }

  function stateOf({ validFrom, validTo, revokedAt }: Mandate): 'revoked' | 'over' | 'coming' | 'good' {
    const now = clock.now();
    if (revokedAt && revokedAt <= now) return 'revoked';
    if (validTo <= now) return 'over';
    return validFrom > now ? 'coming' : 'good';
  }

  async function renderMandates(
    ctx: Context,
    { place, path: here, may, organisation, unit }: Standing,
    { notice, errors = [], values = {} }: Shown = {},
  ): Promise<void> {
    const page = { limit: PAGE, after: cursorOf(ctx) };
    const granted = await organisations.mandates.granted(place, page);
    door.render(ctx, 'organisation-mandates', `${here}/mandates`, {
      notice,
      errors,
      values,
      place: unit?.name ?? organisation.name,
      mandates: await Promise.all(
        granted.map(async (mandate) => ({
          purpose: mandate.purpose,
          agent: await labelOf(ctx, mandate.agentId),
          stateKey: `mandate.state.${stateOf(mandate)}`,
          until: door.when(ctx, mandate.validTo),
          href: `${here}/mandates/${mandate.id}`,
        })),
      ),
      nextHref: granted.length === PAGE ? `${here}/mandates?after=${granted.at(-1)?.id ?? ''}` : undefined,
      action: may('manage-mandates') ? `${here}/mandates` : undefined,
      services: may('manage-mandates') ? await services(ctx) : [],
      longestDays: DUTIES.mandates.longestDays,
      backHref: here,
      backKey: 'organisation.back',
    });
  }

  router.get(
    `${path}/mandates`,
    at(SEE, async (ctx, standing) => {
      await organisations.require(standing.account.id, 'see-mandates', standing.place);
      await renderMandates(ctx, standing);
    }),
  );

  router.post(
    `${path}/mandates`,
    at(CHANGE, async (ctx, standing, form) => {
      const { account, place } = standing;
      await organisations.require(account.id, 'manage-mandates', place);
      try {
        const purpose = textOf(form, 'purpose', PURPOSE_MAX, 'error.mandatePurpose');
        const days = Number((form.get('days') ?? '').normalize('NFKC').trim());
        if (!Number.isInteger(days) || days < 1 || days > DUTIES.mandates.longestDays)
          throw new Wrong('days', 'error.mandateDays', { most: DUTIES.mandates.longestDays });
        const chosen = (await services(ctx))
          .filter(({ word }) => form.has(`service-${word}`))
          .map(({ word }) => word);
        const agentId = await personNamed(ctx, standing, form.get('identifier') ?? '');
        await organisations.mandates.grant(
          {
            ...place,
            agentId,
            services: chosen,
            seals: [],
            purpose,
            validTo: new Date(clock.now().getTime() + days * DAY_MS),
          },
          account.id,
        );
      } catch (error) {
        const values = Object.fromEntries(form);
        return renderMandates(ctx, standing, { errors: [problemOf(error)], values });
      }
      await renderMandates(ctx, standing, { notice: { key: 'mandate.granted' } });
    }),
  );

  /** A mandate that this place has granted. */
  async function mandateIn(ctx: Context, { account, place }: Standing): Promise<Mandate> {
    await organisations.require(account.id, 'see-mandates', place);
    const { mandate: id } = ctx.params as { mandate: string };
    const mandate = await organisations.mandates.mandate(id);
    const isHere =
      mandate?.organisation.id === place.organisationId &&
      (place.unitId === undefined || mandate.unit?.id === place.unitId);
    if (!mandate || !isHere) throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
    return mandate;
  }

  router.get(
    `${path}/mandates/:mandate`,
    at(SEE, async (ctx, standing) => {
      const mandate = await mandateIn(ctx, standing);
      const uses = await organisations.mandates.uses(mandate.id, { limit: PAGE, after: cursorOf(ctx) });
      const nameOf = async (clientId: string) => {
        const portal = await portals.find(clientId);
        return portal ? portalName(portal, ctx.state.language.code) : clientId;
      };
      const state = stateOf(mandate);
      const here = `${standing.path}/mandates/${mandate.id}`;
      door.render(ctx, 'organisation-mandate', here, {
        purpose: mandate.purpose,
        agent: await labelOf(ctx, mandate.agentId),
        stateKey: `mandate.state.${state}`,
        services: await Promise.all(mandate.services.map(nameOf)),
        seals: mandate.seals,
        from: door.when(ctx, mandate.validFrom),
        until: door.when(ctx, mandate.validTo),
        uses: await Promise.all(
          uses.map(async ({ at: usedAt, service, sealId }) => ({
            at: door.when(ctx, usedAt),
            of: service === undefined ? (sealId ?? '') : await nameOf(service),
          })),
        ),
        nextHref: uses.length === PAGE ? `${here}?after=${uses.at(-1)?.id ?? ''}` : undefined,
        action:
          (state === 'good' || state === 'coming') && standing.may('manage-mandates')
            ? `${here}/revoke`
            : undefined,
        backHref: `${standing.path}/mandates`,
        backKey: 'mandate.back',
      });
    }),
  );

  router.post(
    `${path}/mandates/:mandate/revoke`,
    at(CHANGE, async (ctx, standing) => {
      const mandate = await mandateIn(ctx, standing);
      await organisations.mandates.revoke(mandate.id, standing.account.id);
      await renderMandates(ctx, standing, { notice: { key: 'mandate.revoked' } });
    }),
  );
}

/** What takes two persons: one has asked, another approves word by word, and it is done once. */
function actPages(
  { router, door, organisations, dualControl }: Subject,
  { at, labelOf }: Pick<Shared, 'at' | 'labelOf'>,
): void {
  const PATHS = '/organisations/:organisation/acts';

  async function shownAct(ctx: Context, act: ActRecord, reader: AccountId) {
    const { accountId = '', unitId } = act.parameters as { accountId?: string; unitId?: string | null };
    const unit = isId('unit', unitId ?? undefined)
      ? await organisations.unit(unitId as Unit['id'])
      : undefined;
    const isOwn = act.requestedBy === reader;
    const enough = act.approvers.length >= act.approvalsNeeded;
    return {
      id: act.id,
      digest: act.digest,
      titleKey: `act.${act.act}`,
      person: await labelOf(ctx, accountId),
      unit: unit?.name,
      by: await labelOf(ctx, act.requestedBy),
      stateKey: `act.state.${act.state === 'requested' && enough ? 'approved' : act.state}`,
      until: door.when(ctx, act.expiresAt),
      steps:
        act.state !== 'requested'
          ? []
          : [
              ...(enough ? ['execute'] : []),
              ...(isOwn ? ['withdraw'] : enough ? ['refuse'] : ['approve', 'refuse']),
            ].map((word) => ({ word, key: `act.${word}` })),
    };
  }

  async function render(ctx: Context, standing: Standing, shown: Shown = {}): Promise<void> {
    const { organisation, account, path } = standing;
    const acts = await dualControl.list(organisation.id);
    door.render(ctx, 'organisation-acts', `${path}/acts`, {
      notice: shown.notice,
      errors: shown.errors ?? [],
      place: organisation.name,
      acts: await Promise.all(
        acts
          .filter(({ act }) => act.startsWith('organisation.'))
          .slice(0, PAGE)
          .map((act) => shownAct(ctx, act, account.id)),
      ),
      action: `${path}/acts`,
      backHref: path,
      backKey: 'organisation.back',
    });
  }

  router.get(
    PATHS,
    at(SEE, async (ctx, standing) => {
      await organisations.require(standing.account.id, 'manage-members', standing.place);
      await render(ctx, standing);
    }),
  );
  router.post(
    PATHS,
    at(CHANGE, async (ctx, standing, form) => {
      const { account, organisation, place } = standing;
      await organisations.require(account.id, 'manage-members', place);
      const part = { scope: organisation.id, id: form.get('act') ?? '', by: account.id };
      const step = form.get('step') ?? '';
      try {
        switch (step) {
          case 'approve':
            await dualControl.approve({ ...part, digest: form.get('digest') ?? '' });
            break;
          case 'refuse':
            await dualControl.refuse(part);
            break;
          case 'withdraw':
            await dualControl.withdraw(part);
            break;
          case 'execute':
            await dualControl.execute(part);
            break;
          default:
            return await render(ctx, standing);
        }
      } catch (error) {
        if (error instanceof DualControlError)
          return render(ctx, standing, { errors: [{ field: 'form', key: 'error.actOver' }] });
        return render(ctx, standing, { errors: [problemOf(error)] });
      }
      await render(ctx, standing, { notice: { key: `act.done.${step}` } });
    }),
  );
}

/** Something that a person has typed and can put right. */
class Wrong extends Error {
  readonly problem: FieldError;
  constructor(field: string, key: string, params: Readonly<Record<string, number>> = {}) {
    super(key);
    this.problem = { field, key, params };
  }
}

const PROBLEMS: Partial<Record<OrganisationError['code'], FieldError>> = {
  UNIT_EXISTS: { field: 'form', key: 'error.unitExists' },
  UNIT_CLOSED: { field: 'form', key: 'error.unitClosed' },
  UNIT_IN_USE: { field: 'form', key: 'error.unitInUse' },
  TREE_BEYOND_LIMITS: { field: 'form', key: 'error.unitLimits' },
  ROLE_FOR_ONESELF: { field: 'identifier', key: 'error.roleForOneself' },
  ROLE_HELD: { field: 'identifier', key: 'error.roleHeld' },
  DUTIES_SEPARATE: { field: 'identifier', key: 'error.dutiesSeparate' },
  MANDATE_EMPTY: { field: 'form', key: 'error.mandateEmpty' },
  MANDATE_PERIOD: { field: 'days', key: 'error.mandatePeriod' },
  ORGANISATION_NOT_ACTIVE: { field: 'form', key: 'error.organisationNotActive' },
};

/** What a person can put right. @throws whatever they cannot. */
function problemOf(error: unknown): FieldError {
  if (error instanceof Wrong) return error.problem;
  const known = error instanceof OrganisationError ? PROBLEMS[error.code] : undefined;
  if (!known) throw error;
  return known;
}

/** Roles that come by a page: the legal representative comes by the register. */
function isGrantable(role: Role): boolean {
  return role !== 'legal-representative';
}

/** @throws {Wrong} empty, too long, or with signs that nobody can read. */
function textOf(form: ReadonlyMap<string, string>, field: string, most: number, key: string): string {
  const text = (form.get(field) ?? '').normalize('NFC').trim();
  if (text === '' || [...text].length > most || /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(text))
    throw new Wrong(field, key, { most });
  return text;
}

function cursorOf(ctx: Context): string | undefined {
  const { after } = ctx.query;
  return typeof after === 'string' && /^[a-z]+_\w{1,40}$/.test(after) ? after : undefined;
}
