/** Closing the account: what it means, a word to type, and the end. */
import type { Context } from '../../platform/http/context.ts';
import type { FieldError, Person } from './door.ts';
import type { Subject } from './routes.ts';

const PATH = '/account/close';

export function closingPages({ router, door, organisations, closeAccount }: Subject): void {
  async function render(
    ctx: Context,
    { account }: Person,
    errors: readonly FieldError[] = [],
  ): Promise<void> {
    door.render(ctx, 'account-close', PATH, {
      action: PATH,
      // A unit whose officer vanishes would learn of it when it needs a seal.
      officer: (await organisations.membershipsOf(account.id)).length > 0,
      errors,
    });
  }

  router.get(
    '/close',
    door.personal({ full: true }, (ctx, person) => render(ctx, person)),
  );

  router.post(
    '/close',
    door.personal({ full: true }, async (ctx, person, form) => {
      const word = ctx.state.language.t('close.word');
      if (plain(form.get('word') ?? '') !== plain(word))
        return render(ctx, person, [{ field: 'word', key: 'error.closeWord', params: { word } }]);
      if ((await organisations.membershipsOf(person.account.id)).length > 0) return render(ctx, person);
      await closeAccount(person.account.id);
      // The session has ended with the account.
      delete ctx.state.lifetime;
      door.render(ctx, 'account-closed', '/', {});
    }),
  );
}

/** Whatever keyboard it was typed with. */
function plain(word: string): string {
  return word.normalize('NFKC').trim().toLowerCase();
}
