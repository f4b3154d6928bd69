/** Bringing an organisation here: whoever a register confirms to be its legal representative represents it, or asks to. */
import { reachedLevel, LADDER } from '../../identity/index.ts';
import { OrganisationError, type Founded } from '../../organisations/index.ts';
import type { Context } from '../../platform/http/context.ts';
import type { FieldError, Notice } from './door.ts';
import type { Subject } from './routes.ts';

const PATH = '/account/organisations/found';

export function foundingPages({ router, door, organisations, own, clock }: Subject): void {
  const { founding } = organisations;

  function render(
    ctx: Context,
    shown: { errors?: readonly FieldError[]; notice?: Notice; code?: string; href?: string } = {},
  ): void {
    door.render(ctx, 'account-found', PATH, {
      action: PATH,
      offered: founding.register !== undefined,
      fictional: founding.register?.fictional === true,
      ...shown,
    });
  }

  router.get(
    '/organisations/found',
    door.personal({ full: true }, (ctx) => render(ctx)),
  );
  router.post(
    '/organisations/found',
    door.personal({ full: true }, async (ctx, { account }, form) => {
      const code = (form.get('code') ?? '').normalize('NFKC').trim().toUpperCase().slice(0, 18);
      // As a stranger's guess would be: the register is not there to be tried out.
      await own.guard.count(ctx, 'proofing', { accountId: account.id });
      const { factors } = await own.session(ctx);
      const reached = reachedLevel(account, factors, Math.floor(clock.now().getTime() / 1000));
      const level = reached === undefined ? 0 : LADDER.indexOf(reached) + 1;
      try {
        const founded = await founding.prove({ accountId: account.id, level, unifiedSocialCreditCode: code });
        render(ctx, {
          notice: { key: DONE[founded.kind], params: { name: founded.organisation.name } },
          ...(founded.kind === 'requested'
            ? {}
            : { href: `/account/organisations/${founded.organisation.id}` }),
        });
      } catch (error) {
        const key = error instanceof OrganisationError ? PROBLEMS[error.code] : undefined;
        if (key === undefined) throw error;
        render(ctx, { errors: [{ field: key === 'error.creditCode' ? 'code' : 'form', key }], code });
      }
    }),
  );
}

const DONE: Readonly<Record<Founded['kind'], string>> = {
  founded: 'founding.founded',
  known: 'founding.known',
  requested: 'founding.requested',
};

const PROBLEMS: Readonly<Partial<Record<OrganisationError['code'], string>>> = {
  CREDIT_CODE_INVALID: 'error.creditCode',
  LEVEL_INSUFFICIENT: 'error.foundingLevel',
  REPRESENTATIVE_REFUSED: 'error.foundingRefused',
  REGISTER_UNAVAILABLE: 'error.foundingUnavailable',
  REGISTER_MISSING: 'error.foundingUnavailable',
  ORGANISATION_EXISTS: 'error.foundingUnavailable',
  ORGANISATION_NOT_ACTIVE: 'error.foundingNotActive',
  DUTIES_SEPARATE: 'error.foundingDuties',
};
