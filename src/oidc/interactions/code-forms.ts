/**
 * Two forms that follow each other: a person types an address, and then the code that went there. Signing in, registering and recovering
 * begin so; they differ in whom the code speaks for, what is counted, and where it leads.
 */
import type Router from '@koa/router';
import {
  IdentityError,
  type Act,
  type Address,
  type CodeAttempt,
  type Identity,
} from '../../identity/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import { addressProblem, codeProblem, type CodePage, type Recipient, type SentCodes } from './sent-codes.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

/** @typeParam Shown What a right code shows. */
export interface CodeForms<Shown> {
  /** The second form. The first is at its `backPath`. */
  readonly code: CodePage & { readonly backPath: string };
  /** The page of the first form, with what it needs beside the form itself. */
  readonly address: { readonly view: string; readonly data: (visit: Visit) => object };
  /** What asking for a code counts as, beside the sending. */
  readonly act?: Act;
  /** Whom a code to this address speaks for, and what is sent. Strangers learn nothing of it. */
  recipientOf(to: Address): Promise<Omit<Recipient, 'to'>>;
  /** Takes the code, once. @throws {IdentityError} CODE_WRONG, CODE_OVER */
  take(attempt: CodeAttempt): Promise<Shown>;
  goOn(ctx: Context, visit: Visit, shown: Shown): Promise<void>;
  /** Something to do whenever a code was not taken. */
  refused?(): void;
}

export function codeForms<Shown>(
  router: Router<RequestState>,
  { identity, forms, guard }: InteractionParts,
  { visiting, render }: Visits,
  sentCodes: SentCodes,
  { code: page, address, act, recipientOf, take, goOn, refused }: CodeForms<Shown>,
): void {
  const { purpose } = page;

  function renderAddress(
    ctx: Context,
    visit: Visit,
    identifier: string,
    errors: readonly FieldError[],
  ): void {
    const path = `${visit.base}${page.backPath}`;
    const data = { ...address.data(visit), action: path, values: { identifier }, errors };
    render(ctx, address.view, visit, data, path);
  }

  async function send(ctx: Context, visit: Visit, to: Address): Promise<FieldError | undefined> {
    return sentCodes.send(ctx, visit, purpose, { to, ...(await recipientOf(to)) });
  }

  router.get(
    page.backPath,
    visiting((ctx, visit) => renderAddress(ctx, visit, '', [])),
  );

  router.post(
    page.backPath,
    visiting(async (ctx, visit) => {
      const text = (await forms.read(ctx)).get('identifier') ?? '';
      if (act !== undefined) await guard.count(ctx, act);
      try {
        const problem = await send(ctx, visit, identity.contacts.read(text));
        if (problem) return renderAddress(ctx, visit, text, [problem]);
        ctx.status = 303;
        ctx.redirect(`${visit.base}${page.path}`);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        renderAddress(ctx, visit, text, [addressProblem(error, text)]);
      }
    }),
  );

  router.get(
    page.path,
    visiting((ctx, visit) => sentCodes.render(ctx, visit, page)),
  );

  router.post(
    page.path,
    visiting(async (ctx, visit) => {
      const code = (await forms.read(ctx)).get('code') ?? '';
      const to = await sentCodes.sentTo(visit, purpose);
      if (!to) return sentCodes.render(ctx, visit, page);
      try {
        const shown = await guard.attempt(ctx, 'one-time-code', { typed: to.value }, () =>
          take({ purpose, binding: visit.interaction.uid, code }),
        );
        await goOn(ctx, visit, shown);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        refused?.();
        await sentCodes.render(ctx, visit, page, { errors: [codeProblem(error, code)] });
      }
    }),
  );

  router.post(
    `${page.path}/resend`,
    visiting(async (ctx, visit) => {
      await forms.read(ctx);
      const to = await sentCodes.sentTo(visit, purpose);
      const problem = to && (await send(ctx, visit, to));
      await sentCodes.render(ctx, visit, page, { errors: problem ? [problem] : [] });
    }),
  );
}

/** A code to an address that has an account speaks for it; to any other nothing goes. */
export async function holderOf(
  identity: Pick<Identity, 'findByAddress'>,
  to: Address,
): Promise<Omit<Recipient, 'to'>> {
  const accountId = await identity.findByAddress(to);
  return { accountId, message: accountId === undefined ? 'nothing' : 'code' };
}
