/** A person's passkeys: make another, rename, remove. */
import {
  IdentityError,
  labelOf,
  mayAddFactor,
  PASSKEY_NAME_MAX_LENGTH,
  type Passkey,
} from '../../identity/index.ts';
import { passkeyProblem } from '../../oidc/index.ts';
import type { Context } from '../../platform/http/context.ts';
import { HttpError } from '../../platform/http/errors.ts';
import type { FieldError, Notice, Person } from './door.ts';
import { PROVE } from './methods.ts';
import type { Subject } from './routes.ts';

const PATH = '/account/passkeys';
/** Whoever is sent to show more comes back to the list: a form of theirs is lost, and a page of one passkey says nothing of itself. */
const FULL = { full: true, page: PATH } as const;

export function passkeyPages({ router, door, identity, own }: Subject): void {
  const { passkeys } = identity;
  const idIn = (ctx: Context) => (ctx.params as { id: string }).id;

  function shown(ctx: Context, passkey: Passkey) {
    return {
      name: passkey.name,
      href: `${PATH}/${passkey.id}`,
      created: door.when(ctx, passkey.createdAt),
      lastUsed: passkey.lastUsedAt && door.when(ctx, passkey.lastUsedAt),
      deviceBound: passkey.deviceBound,
      suspended: passkey.suspendedAt !== undefined,
    };
  }

  async function renderAll(
    ctx: Context,
    { account, binding }: Person,
    { name, notice, errors = [] }: { name?: string; notice?: Notice; errors?: readonly FieldError[] } = {},
  ): Promise<void> {
    const options = await passkeys.registrationOptions({
      accountId: account.id,
      binding,
      userName: labelOf(account),
    });
    door.render(ctx, 'account-passkeys', PATH, {
      passkeys: (await passkeys.list(account.id)).map((passkey) => shown(ctx, passkey)),
      action: PATH,
      options: JSON.stringify(options),
      values: { name: name ?? ctx.state.language.t('passkey.namePreset') },
      nameMaximum: PASSKEY_NAME_MAX_LENGTH,
      proveHref: mayAddFactor(account) ? undefined : PROVE,
      notice,
      errors,
    });
  }

  async function renderOne(
    ctx: Context,
    { account }: Person,
    { name, errors = [] }: { name?: string; errors?: readonly FieldError[] } = {},
  ): Promise<void> {
    const passkey = (await passkeys.list(account.id)).find(({ id }) => id === idIn(ctx));
    if (!passkey) throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
    const path = `${PATH}/${passkey.id}`;
    door.render(ctx, 'account-passkey', path, {
      passkey: shown(ctx, passkey),
      renameAction: `${path}/name`,
      removeAction: `${path}/remove`,
      backHref: PATH,
      values: { name: name ?? passkey.name },
      nameMaximum: PASSKEY_NAME_MAX_LENGTH,
      errors,
    });
  }

  /** What went wrong, for the form. @throws whatever a person cannot put right. */
  function problem(error: unknown): { errors: readonly FieldError[] } {
    if (!(error instanceof IdentityError)) throw error;
    return { errors: [passkeyProblem(error)] };
  }

  router.get(
    '/passkeys',
    door.personal(FULL, (ctx, person) => renderAll(ctx, person)),
  );

  router.post(
    '/passkeys',
    door.personal(FULL, async (ctx, person, form) => {
      const { account, binding } = person;
      const [name, response] = [form.get('name') ?? '', form.get('credential') ?? ''];
      // The page has no form then.
      if (!mayAddFactor(account)) return renderAll(ctx, person);
      try {
        const { showing } = await passkeys.register({ accountId: account.id, binding, response, name });
        // Whoever makes a passkey has shown it: they are not asked for it on the next page.
        await own.noteShowing(ctx, showing);
      } catch (error) {
        return renderAll(ctx, person, { name, ...problem(error) });
      }
      await renderAll(ctx, person, { notice: { key: 'passkeys.registered' } });
    }),
  );

  router.get(
    '/passkeys/:id',
    door.personal(FULL, (ctx, person) => renderOne(ctx, person)),
  );

  router.post(
    '/passkeys/:id/name',
    door.personal(FULL, async (ctx, person, form) => {
      const name = form.get('name') ?? '';
      try {
        await passkeys.rename(person.account.id, idIn(ctx), name);
      } catch (error) {
        return renderOne(ctx, person, { name, ...problem(error) });
      }
      await renderAll(ctx, person, { notice: { key: 'passkeys.renamed' } });
    }),
  );

  router.post(
    '/passkeys/:id/remove',
    door.personal(FULL, async (ctx, person) => {
      try {
        await passkeys.remove(person.account.id, idIn(ctx));
      } catch (error) {
        return renderOne(ctx, person, problem(error));
      }
      // It may be lost to somebody: what was begun with it elsewhere ends.
      await own.endOtherSessions(ctx, 'factor-removed');
      await renderAll(ctx, person, { notice: { key: 'passkeys.removed' } });
    }),
  );
}
