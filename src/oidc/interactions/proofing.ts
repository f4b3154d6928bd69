/** Proving who one is on the way to a portal: by a document, by a live check, and by the account that holds the document already. */
import type Router from '@koa/router';
import {
  isDocumentKind,
  ProofingError,
  thirdItemsOf,
  type Account,
  type DocumentKind,
  type Outcome,
  type Statement,
  type ThirdItem,
} from '../../identity/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import type { Steps } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

export function proofingPages(
  router: Router<RequestState>,
  { issuer, identity, forms, guard }: InteractionParts,
  { over, render }: Visits,
  steps: Steps,
): void {
  const { proofing, persons, federation } = identity;
  /** Providers that could say who somebody is as surely as is wanted. */
  const upstreamsFor = (visit: Visit, level: number) =>
    federation.upstreams
      .filter(({ attainable }) => attainable >= level)
      .map(({ id, name }) => ({ href: `${visit.base}/upstream/${id}`, name: name['zh-CN'], names: name }));
  const pathOf = (visit: Visit) => `${visit.base}/proofing`;
  const go = (ctx: Context, path: string) => {
    ctx.status = 303;
    ctx.redirect(path);
  };
  const returnUriOf = (visit: Visit) => `${issuer}${pathOf(visit)}/return?attempt={attempt}`;

  /** Who is asked, in the person's language; whether the people there are invented. */
  function counterpart(ctx: Context, kind: DocumentKind): { name: string; fictional: boolean } {
    const { name = {}, fictional = false } = proofing.counterpart(kind) ?? {};
    return { name: name[ctx.state.language.code] ?? name['zh-CN'] ?? '', fictional };
  }

  /** What the page asks for; nothing is asked of somebody from whom nothing is wanted. */
  async function wantedLevel(
    ctx: Context,
    visit: Visit,
  ): Promise<{ wanted: 2 | 3; optional: boolean } | undefined> {
    const { step } = await steps.stepOf(ctx, visit);
    return step.kind === 'proofing'
      ? { wanted: step.level >= 3 ? 3 : 2, optional: step.optional }
      : undefined;
  }

  async function renderForm(
    ctx: Context,
    visit: Visit,
    given: { kind: DocumentKind; third: ThirdItem; values?: Partial<Record<string, string>> },
    errors: readonly FieldError[] = [],
  ): Promise<void> {
    const wanted = await wantedLevel(ctx, visit);
    if (!wanted) return go(ctx, visit.base);
    const path = pathOf(visit);
    const items = thirdItemsOf(given.kind);
    render(
      ctx,
      'proofing',
      visit,
      {
        action: path,
        kind: given.kind,
        third: given.third,
        passport: given.kind === 'passport',
        values: given.values ?? {},
        otherItems: items
          .filter((item) => item !== given.third)
          .map((item) => ({ href: `${path}?kind=${given.kind}&third=${item}`, key: `proofing.use.${item}` })),
        kindsHref: proofing.kinds.length > 1 ? `${path}?kind=other` : undefined,
        authority: counterpart(ctx, given.kind),
        liveCheck: wanted.wanted === 3,
        upstreams: upstreamsFor(visit, wanted.wanted),
        declineAction: wanted.optional ? `${visit.base}/decline` : undefined,
        errors,
      },
      `${path}?kind=${given.kind}&third=${given.third}`,
    );
  }

  /** Counts a comparison twice, until it agrees: what this account tries, and what anybody tries with this document. */
  async function counted(
    ctx: Context,
    account: Account,
    document: string,
    compare: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const refused = Symbol('refused');
    const attempt = async (): Promise<Outcome> => {
      const outcome = await compare();
      if (outcome.kind === 'refused') throw refused;
      return outcome;
    };
    return guard
      .attempt(ctx, 'proofing', { accountId: account.id }, () =>
        guard.attempt(ctx, 'proofing', { typed: document }, attempt),
      )
      .catch((error: unknown) => {
        if (error === refused) return { kind: 'refused' } as const;
        throw error;
      });
  }

  /** Answers with what came of asking. */
  async function answer(
    ctx: Context,
    visit: Visit,
    account: Account,
    outcome: Outcome,
    form: (key: string) => Promise<void>,
  ): Promise<void> {
    switch (outcome.kind) {
      case 'proofed':
        await steps.note(visit, account, { proofed: outcome.level });
        return steps.proceed(ctx, visit);
      case 'continue':
        // A link, not a redirect: browsers hold `form-action` against every redirect that follows a form.
        return render(ctx, 'live-check-next', visit, { href: outcome.uri, host: new URL(outcome.uri).host });
      case 'taken':
        return go(ctx, `${pathOf(visit)}/taken?link=${outcome.link}`);
      case 'pending':
        return form('error.liveCheckPending');
      case 'refused':
        return form('error.proofingRefused');
      case 'unavailable':
        return form('error.proofingUnavailable');
    }
  }

  router.get(
    '/proofing',
    steps.knowing(async (ctx, visit, account) => {
      const wanted = await wantedLevel(ctx, visit);
      if (!wanted) return go(ctx, visit.base);
      const path = pathOf(visit);
      const { kind = proofing.kinds[0] ?? 'other', third } = ctx.query;
      if (kind === 'other')
        return render(
          ctx,
          'proofing-kinds',
          visit,
          {
            upstreams: upstreamsFor(visit, wanted.wanted),
            choices: proofing.kinds.map((each) => ({
              key: `document.${each}`,
              href: `${path}?kind=${each}`,
            })),
          },
          `${path}?kind=other`,
        );
      if (!isDocumentKind(kind) || !proofing.kinds.includes(kind)) return go(ctx, path);
      const before =
        wanted.wanted === 3 && third === undefined && ctx.query['kind'] === undefined
          ? await proofing.comparedBefore(account.id)
          : undefined;
      if (before) {
        const { code } = ctx.state.language;
        return render(
          ctx,
          'proofing-live',
          visit,
          {
            action: `${path}/live`,
            authority: { name: before.name[code] ?? before.name['zh-CN'], fictional: before.fictional },
            otherHref: `${path}?kind=${kind}`,
            declineAction: wanted.optional ? `${visit.base}/decline` : undefined,
          },
          path,
        );
      }
      const items = thirdItemsOf(kind);
      const item = items.find((each) => each === third) ?? items[0] ?? 'phone';
      return renderForm(ctx, visit, { kind, third: item });
    }),
  );

  router.post(
    '/proofing',
    steps.knowing(async (ctx, visit, account) => {
      const form = await forms.read(ctx);
      const wanted = await wantedLevel(ctx, visit);
      const kind = form.get('kind');
      const third = thirdItemsOf(isDocumentKind(kind) ? kind : 'passport').find(
        (item) => item === form.get('third'),
      );
      if (!wanted || !isDocumentKind(kind) || third === undefined) return over(ctx);
      const text = (field: string) => (form.get(field) ?? '').slice(0, 200);
      const statement: Statement = {
        kind,
        number: text('number'),
        issuingCountry: kind === 'passport' ? text('issuingCountry') : undefined,
        name: text('name'),
        third: { item: third, value: text('value') },
      };
      const again = (errors: readonly FieldError[]) =>
        renderForm(ctx, visit, { kind, third, values: Object.fromEntries(form) }, errors);
      const problems = proofing.check(statement);
      if (problems.length > 0)
        return again(
          problems.map(({ field, code }) => ({
            field: field === 'third' ? 'value' : field,
            key: code === 'THIRD_ITEM_FORM' ? `error.${third}Form` : `error.${code}`,
          })),
        );
      try {
        const options = { wanted: wanted.wanted, returnUri: returnUriOf(visit) };
        const outcome = await counted(ctx, account, proofing.keyOf(statement), () =>
          proofing.compare(account.id, statement, options),
        );
        await answer(ctx, visit, account, outcome, (key) => again([{ field: 'form', key }]));
      } catch (error) {
        if (!(error instanceof ProofingError)) throw error;
        await again([{ field: 'form', key: `error.${error.code}` }]);
      }
    }),
  );

  router.post(
    '/proofing/live',
    steps.knowing(async (ctx, visit, account) => {
      await forms.read(ctx);
      if (!(await wantedLevel(ctx, visit))) return go(ctx, visit.base);
      try {
        const outcome = await proofing.continueToLiveCheck(account.id, returnUriOf(visit));
        await answer(ctx, visit, account, outcome, (key) => renderOutcome(ctx, visit, key));
      } catch (error) {
        if (!(error instanceof ProofingError)) throw error;
        go(ctx, pathOf(visit));
      }
    }),
  );

  /** What there is to say of a live check, with the way on. */
  async function renderOutcome(ctx: Context, visit: Visit, key: string, againHref?: string): Promise<void> {
    const path = pathOf(visit);
    const errors: FieldError[] = [{ field: 'form', key }];
    render(ctx, 'live-check-outcome', visit, { errors, againHref, backHref: path }, path);
  }

  router.get(
    '/proofing/return',
    steps.knowing(async (ctx, visit, account) => {
      const { attempt } = ctx.query;
      if (typeof attempt !== 'string') return go(ctx, pathOf(visit));
      try {
        const outcome = await proofing.resume(account.id, attempt);
        const againHref = `${pathOf(visit)}/return?attempt=${encodeURIComponent(attempt)}`;
        const repeat = outcome.kind === 'pending' || outcome.kind === 'unavailable' ? againHref : undefined;
        await answer(ctx, visit, account, outcome, (key) => renderOutcome(ctx, visit, key, repeat));
      } catch (error) {
        if (!(error instanceof ProofingError)) throw error;
        // Settled before, as by a reload: what is still missing is asked for.
        go(ctx, visit.base);
      }
    }),
  );

  router.get(
    '/proofing/taken',
    steps.knowing(async (ctx, visit, account) => {
      const { link, wrong } = ctx.query;
      const holder = typeof link === 'string' ? await persons.linkedHolder(link, account.id) : undefined;
      if (typeof link !== 'string' || holder === undefined) return go(ctx, visit.base);
      const path = `${pathOf(visit)}/taken?link=${encodeURIComponent(link)}`;
      const errors: FieldError[] = wrong === undefined ? [] : [{ field: 'form', key: 'error.linkWrong' }];
      render(ctx, 'proofing-taken', visit, { action: `${pathOf(visit)}/link`, link, errors }, path);
    }),
  );

  router.post(
    '/proofing/link',
    steps.knowing(async (ctx, visit, account) => {
      const link = (await forms.read(ctx)).get('link') ?? '';
      if ((await persons.linkedHolder(link, account.id)) === undefined) return go(ctx, visit.base);
      const { progress } = await steps.stepOf(ctx, visit);
      const factors = progress?.accountId === account.id ? progress.factors : {};
      await steps.note(visit, account, { linking: { link, from: account.id, factors } });
      // The other account signs in by any way that it has.
      go(ctx, `${visit.base}?other=yes`);
    }),
  );
}
