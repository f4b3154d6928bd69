/** Where somebody who was told of a recovery that they did not begin stops it: the word of the notice is all it takes, no sign-in. */
import { RECOVERY_STOP_PATH, type Identity } from '../identity/index.ts';
import type { Context, Middleware } from '../platform/http/context.ts';
import type { Forms } from '../platform/http/forms.ts';
import type { Pages } from '../platform/http/pages.ts';

export function recoveryStopRoute(parts: { pages: Pages; forms: Forms; identity: Identity }): Middleware {
  const { pages, forms, identity } = parts;

  function render(ctx: Context, data: { stopped: boolean; errors: readonly object[] }): void {
    const status = data.errors.length > 0 ? 422 : 200;
    pages.render(
      ctx,
      'recovery-stop',
      { ...data, action: RECOVERY_STOP_PATH },
      { status, path: RECOVERY_STOP_PATH },
    );
  }

  return async function stopRecovery(ctx, next) {
    if (ctx.path !== RECOVERY_STOP_PATH) return next();
    if (ctx.method === 'GET' || ctx.method === 'HEAD') return render(ctx, { stopped: false, errors: [] });
    if (ctx.method !== 'POST') return next();
    const word = (await forms.read(ctx)).get('word') ?? '';
    const stopped = await identity.recovery.stop(word);
    const key = word.trim() === '' ? 'error.stopWordMissing' : 'error.stopWordWrong';
    render(ctx, { stopped, errors: stopped ? [] : [{ field: 'word', key }] });
  };
}
