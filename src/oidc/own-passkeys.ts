/** A person's passkeys, on a page of their own: make another, rename, remove. Whoever changes one has shown all that the account can show. */
import Router from '@koa/router';
import type Provider from 'oidc-provider';
import {
  fullyShown,
  labelOf,
  LADDER,
  mayAddFactor,
  PASSKEY_NAME_MAX_LENGTH,
  type Account,
  type Identity,
  type Passkey,
} from '../identity/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Config } from '../platform/config.ts';
import type { Context, Middleware, RequestState } from '../platform/http/context.ts';
import { HttpError } from '../platform/http/errors.ts';
import type { Forms } from '../platform/http/forms.ts';
import type { Pages } from '../platform/http/pages.ts';
import { passkeyProblem } from './interactions/passkey.ts';
import type { FieldError } from './interactions/visits.ts';
import { noteShowing, ownSession, sendToSignIn } from './own-session.ts';

const PATH = '/account/passkeys';
/** What the account can show is shown within this time before the page, and a little later still counts when its forms come. Seconds. */
const SHOWN_WITHIN = 900;
const READING = 900;

interface OwnPasskeysParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly provider: Provider;
  readonly identity: Identity;
  readonly forms: Forms;
  readonly pages: Pages;
}

/** Who is signed in, and what ties a ceremony to their browser. */
interface Owner {
  readonly account: Account;
  readonly binding: string;
}

export function ownPasskeyRoutes(parts: OwnPasskeysParts): Middleware {
  const { config, clock, provider, identity, forms, pages } = parts;
  const { passkeys } = identity;
  const router = new Router<RequestState>({ prefix: PATH });

  /** Runs `handle` for the owner of an account who has just shown that it is them; others are sent to do so first. */
  function owning(
    within: number,
    handle: (ctx: Context, owner: Owner, form: ReadonlyMap<string, string>) => Promise<void>,
  ): Middleware {
    return async (ctx) => {
      const form = ctx.method === 'POST' ? await forms.read(ctx) : new Map<string, string>();
      const { accountId, factors = {}, uid } = await ownSession(provider, ctx);
      const account = accountId === undefined ? undefined : await identity.account(accountId);
      const now = Math.floor(clock.now().getTime() / 1000);
      if (!account || !fullyShown(account, factors, { now, maxAgeSeconds: within }))
        return sendToSignIn(ctx, config.issuer, PATH, { fullWithinSeconds: SHOWN_WITHIN });
      await handle(ctx, { account, binding: uid }, form);
    };
  }

  function shown({ language }: RequestState, passkey: Passkey) {
    const format = new Intl.DateTimeFormat(language.code, { dateStyle: 'long', timeStyle: 'short' });
    const time = (at: Date) => ({ iso: at.toISOString(), text: format.format(at) });
    return {
      name: passkey.name,
      href: `${PATH}/${passkey.id}`,
      created: time(passkey.createdAt),
      lastUsed: passkey.lastUsedAt && time(passkey.lastUsedAt),
      deviceBound: passkey.deviceBound,
      suspended: passkey.suspendedAt !== undefined,
    };
  }

  async function renderAll(
    ctx: Context,
    { account, binding }: Owner,
    {
      name,
      noticeKey,
      errors = [],
    }: { name?: string; noticeKey?: string; errors?: readonly FieldError[] } = {},
  ): Promise<void> {
    const options = await passkeys.registrationOptions({
      accountId: account.id,
      binding,
      userName: labelOf(account),
    });
    pages.render(
      ctx,
      'account-passkeys',
      {
        passkeys: (await passkeys.list(account.id)).map((passkey) => shown(ctx.state, passkey)),
        action: PATH,
        options: JSON.stringify(options),
        values: { name: name ?? ctx.state.language.t('passkey.namePreset') },
        nameMaximum: PASSKEY_NAME_MAX_LENGTH,
        proveHref: mayAddFactor(account) ? undefined : `${PATH}/prove`,
        noticeKey,
        errors,
      },
      { status: errors.length > 0 ? 422 : 200, path: PATH },
    );
  }

  async function renderOne(
    ctx: Context,
    { account }: Owner,
    { name, errors = [] }: { name?: string; errors?: readonly FieldError[] } = {},
  ): Promise<void> {
    const { id } = ctx.params as { id: string };
    const passkey = (await passkeys.list(account.id)).find((each) => each.id === id);
    if (!passkey) throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
    const path = `${PATH}/${passkey.id}`;
    pages.render(
      ctx,
      'account-passkey',
      {
        passkey: shown(ctx.state, passkey),
        renameAction: `${path}/name`,
        removeAction: `${path}/remove`,
        backHref: PATH,
        values: { name: name ?? passkey.name },
        nameMaximum: PASSKEY_NAME_MAX_LENGTH,
        errors,
      },
      { status: errors.length > 0 ? 422 : 200, path },
    );
  }

  router.get(
    '/',
    owning(SHOWN_WITHIN, (ctx, owner) => renderAll(ctx, owner)),
  );

  router.post(
    '/',
    owning(SHOWN_WITHIN + READING, async (ctx, owner, form) => {
      const [name, response] = [form.get('name') ?? '', form.get('credential') ?? ''];
      try {
        if (!mayAddFactor(owner.account))
          throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
        const { showing } = await passkeys.register({
          accountId: owner.account.id,
          binding: owner.binding,
          response,
          name,
        });
        // Whoever makes a passkey has shown it: they are not asked for it on the next page.
        await noteShowing(provider, ctx, showing);
      } catch (error) {
        return renderAll(ctx, owner, { name, errors: [passkeyProblem(error)] });
      }
      await renderAll(ctx, owner, { noticeKey: 'passkeys.registered' });
    }),
  );

  // Where a password is all that a proofed account has, the holder proves once more who they are, and makes the passkey on the way.
  router.get('/prove', (ctx) => {
    const level = LADDER.find(({ factors }) => factors > 1);
    sendToSignIn(ctx, config.issuer, PATH, level ? { acrValues: level.acr } : {});
  });

  router.get(
    '/:id',
    owning(SHOWN_WITHIN, (ctx, owner) => renderOne(ctx, owner)),
  );

  router.post(
    '/:id/name',
    owning(SHOWN_WITHIN + READING, async (ctx, owner, form) => {
      const name = form.get('name') ?? '';
      try {
        await passkeys.rename(owner.account.id, (ctx.params as { id: string }).id, name);
      } catch (error) {
        return renderOne(ctx, owner, { name, errors: [passkeyProblem(error)] });
      }
      await renderAll(ctx, owner, { noticeKey: 'passkeys.renamed' });
    }),
  );

  router.post(
    '/:id/remove',
    owning(SHOWN_WITHIN + READING, async (ctx, owner) => {
      try {
        await passkeys.remove(owner.account.id, (ctx.params as { id: string }).id);
      } catch (error) {
        return renderOne(ctx, owner, { errors: [passkeyProblem(error)] });
      }
      await renderAll(ctx, owner, { noticeKey: 'passkeys.removed' });
    }),
  );

  return router.routes() as unknown as Middleware;
}
