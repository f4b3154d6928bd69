/**
 * The one door to a person's own pages: who asks is signed in, and whoever changes the account has just shown all that it can show. Nobody
 * comes past it to anything of another.
 */
import { fullyShown, type Account, type Identity } from '../../identity/index.ts';
import type { OwnAccount } from '../../oidc/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Context, Middleware } from '../../platform/http/context.ts';
import type { Forms } from '../../platform/http/forms.ts';
import type { Pages } from '../../platform/http/pages.ts';

/** The person who asks. */
export interface Person {
  readonly account: Account;
  /** Ties things to the person's session. Secret. */
  readonly binding: string;
}

export interface Demand {
  /** Everything that the account can show was shown a short while ago. */
  readonly full?: boolean;
  /** Where the person comes back to after signing in. Default: the address of the request. */
  readonly page?: string;
}

/** Something to put right on a form. `field` is the id of an input, or `form`. */
export interface FieldError {
  readonly field: string;
  readonly key: string;
  readonly params?: Readonly<Record<string, string | number>>;
}

/** What has just been done, for the head of the page. */
export interface Notice {
  readonly key: string;
  readonly params?: Readonly<Record<string, string | number>>;
}

export interface When {
  /** RFC 3339, UTC. */
  readonly iso: string;
  readonly text: string;
}

export interface Door {
  /** The person who asks, or undefined: then they were sent to sign in, or to show what is missing, and come back. */
  requirePerson(ctx: Context, demand?: Demand): Promise<Person | undefined>;
  /** Runs `handle` for the person who asks. A form is read first: one that did not come from our page is refused before anything else. */
  personal(
    demand: Demand,
    handle: (ctx: Context, person: Person, form: ReadonlyMap<string, string>) => Promise<void> | void,
  ): Middleware;
  /** Shows a page; with `errors` among the data it is a 422. @param path Where the links for language and type come back to. */
  render(ctx: Context, view: string, path: string, data: object): void;
  /** A point in time in the person's language. */
  when(ctx: Context, at: Date): When;
}

/** Seconds in which what was shown is enough to come to a page that changes the account, and how much later its form may be sent. */
const SHOWN_WITHIN = 300;
const READING = 300;

export function createDoor(parts: {
  readonly clock: Clock;
  readonly identity: Identity;
  readonly own: OwnAccount;
  readonly forms: Forms;
  readonly pages: Pages;
}): Door {
  const { clock, identity, own, forms, pages } = parts;

  async function requirePerson(
    ctx: Context,
    { full = false, page }: Demand = {},
  ): Promise<Person | undefined> {
    const { accountId, uid, factors } = await own.session(ctx);
    const account = accountId === undefined ? undefined : await identity.account(accountId);
    const now = Math.floor(clock.now().getTime() / 1000);
    const maxAgeSeconds = SHOWN_WITHIN + (ctx.method === 'POST' ? READING : 0);
    if (account && (!full || fullyShown(account, factors, { now, maxAgeSeconds })))
      return { account, binding: uid };
    own.sendToSignIn(
      ctx,
      page ?? `${ctx.path}${ctx.search}`,
      full ? { fullWithinSeconds: SHOWN_WITHIN } : {},
    );
    return undefined;
  }

  return {
    requirePerson,
    personal: (demand, handle) => async (ctx) => {
      const form = ctx.method === 'POST' ? await forms.read(ctx) : new Map<string, string>();
      const person = await requirePerson(ctx, demand);
      if (person) await handle(ctx, person, form);
    },
    render(ctx, view, path, data) {
      const { errors = [] } = data as { errors?: readonly FieldError[] };
      pages.render(ctx, view, { ...data, errors }, { status: errors.length > 0 ? 422 : 200, path });
    },
    when: (ctx, at) => ({ iso: at.toISOString(), text: ctx.state.language.date(at) }),
  };
}
