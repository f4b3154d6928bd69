/** Who the person was found to be, everything that was tried for it, and where they say that they live. */
import { LADDER, type Evidence, type PostalAddress } from '../../identity/index.ts';
import { PERSONAL_CLAIMS } from '../../oidc/index.ts';
import type { Context } from '../../platform/http/context.ts';
import type { Notice, Person } from './door.ts';
import type { Subject } from './routes.ts';

const PATH = '/account/identity';
const ADDRESS = '/account/address';
const PARTS = ['country', 'region', 'locality', 'street_address', 'postal_code'] as const;
/** As many as a page can show; all of them are in the export. */
const SHOWN = 20;

export function identityPages({ router, door, identity, own, means }: Subject): void {
  router.get(
    '/identity',
    door.personal({}, async (ctx, { account }) => {
      const { t } = ctx.state.language;
      const [person, evidence] = await Promise.all([
        identity.persons.person(account.id),
        identity.persons.evidence(account.id),
      ]);
      const shown = (claim: string) => PERSONAL_CLAIMS[claim]?.shown({ account, person }, t);
      door.render(ctx, 'account-identity', PATH, {
        proofing: account.proofing,
        facts: person
          ? [
              { key: 'claim.name.name', value: shown('name') },
              { key: 'account.document', value: t(`document.${person.document.kind}`) },
              { key: 'field.documentNumber', value: shown('id_number') },
            ]
          : [],
        fictional: person?.evidence.fictional === true,
        evidence: evidence.slice(0, SHOWN).map((each) => ({
          when: door.when(ctx, each.at),
          methodKey: `evidence.${each.method}`,
          resultKey: resultKey(each),
          document: each.documentKind === undefined ? undefined : t(`document.${each.documentKind}`),
        })),
        proveHref: nextAcr(account.proofing, means.proofing) === undefined ? undefined : `${PATH}/prove`,
        addressHref: ADDRESS,
      });
    }),
  );

  // The next level, by the pages of a sign-in, and back.
  router.get(
    '/identity/prove',
    door.personal({}, (ctx, { account }) => {
      const acrValues = nextAcr(account.proofing, means.proofing);
      if (acrValues !== undefined) return own.sendToSignIn(ctx, PATH, { acrValues });
      ctx.status = 303;
      ctx.redirect(PATH);
    }),
  );

  async function renderAddress(ctx: Context, { account }: Person, notice?: Notice): Promise<void> {
    const address = (await identity.addresses.of(account.id)) ?? {};
    door.render(ctx, 'account-address', ADDRESS, { action: ADDRESS, parts: PARTS, values: address, notice });
  }
  router.get(
    '/address',
    door.personal({}, (ctx, person) => renderAddress(ctx, person)),
  );
  router.post(
    '/address',
    door.personal({ page: ADDRESS }, async (ctx, person, form) => {
      const address = Object.fromEntries(PARTS.map((part) => [part, form.get(part) ?? '']));
      await identity.addresses.set(person.account.id, address satisfies PostalAddress);
      await renderAddress(ctx, person, { key: 'address.saved' });
    }),
  );
}

/** The level above that of a person, if there is somebody here who can proof them to it. */
function nextAcr(proofing: number, attainable: number): string | undefined {
  return LADDER.find((level) => level.proofing > Math.max(proofing, 1) && level.proofing <= attainable)?.acr;
}

function resultKey({ result, supersededAt }: Evidence): string {
  return supersededAt === undefined ? `evidence.${result}` : 'evidence.superseded';
}
