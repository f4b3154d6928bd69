/** Who arrives at the pages: what they may still try, whether the account knows their device, and whether their sign-in is unusual. */
import {
  judge,
  PasswordQueueError,
  spelled,
  type Act,
  type Arrival,
  type Identity,
  type KnownDevice,
  type Limits,
  type Sign,
} from '../identity/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Context } from '../platform/http/context.ts';
import type { AccountId, DeviceId } from '../platform/ids.ts';

/** What is tried at: an account that is known already, or what somebody typed to name one, whether or not there is such an account. */
export type Target = { readonly accountId: AccountId } | { readonly typed: string };

export interface Guard {
  /**
   * Runs `check`, something that a stranger could guess at: the try is counted before, and given back when `check` resolves,
   * or could not be made. Whoever is at a
   * device that the account knows has a budget of their own.
   * @param target Undefined: what is shown says itself whose it is; the address alone counts.
   * @throws {LimitError} TOO_MANY_TRIES, without running `check`; what `check` throws.
   */
  attempt<T>(ctx: Context, act: Act, target: Target | undefined, check: () => Promise<T>): Promise<T>;
  /**
   * Counts what is not to be done too often, however it ends: registrations, sendings.
   * @param target Left out: the address alone counts.
   * @throws {LimitError} TOO_MANY_TRIES
   */
  count(ctx: Context, act: Act, target?: Target): Promise<void>;
  /** Whether the request comes from a device that the account knows. */
  knowsDevice(ctx: Context, target: Target): Promise<boolean>;
  /** Why a sign-in to the account from where this request comes is unusual; usually for no reason. */
  signsOf(ctx: Context, accountId: AccountId): Promise<readonly Sign[]>;
  /**
   * Records a sign-in that is finished, and remembers the device; the account's owner is told of one that is new.
   * @returns sequence number of the audit entry, and the device.
   */
  signedIn(
    ctx: Context,
    signIn: Omit<Parameters<Identity['signedIn']>[0], 'arrival'>,
  ): Promise<{ readonly entry: number; readonly device: DeviceId }>;
  /** The devices that the account knows, for its owner's eyes. */
  devices(ctx: Context, accountId: AccountId): Promise<KnownDevice[]>;
}

const ONE_YEAR_MS = 31_536_000_000;

export function createGuard(parts: {
  issuer: string;
  identity: Identity;
  limits: Limits;
  clock: Clock;
}): Guard {
  const { identity, limits, clock } = parts;
  const { devices } = identity;
  const secure = parts.issuer.startsWith('https:');
  const cookieName = secure ? '__Host-yx_device' : 'yx_device';
  /** How often strangers had been wrong at the account when the try of this request was made. */
  const failures = new WeakMap<Context['req'], number>();

  const cookieOf = (ctx: Context) => ctx.cookies.get(cookieName, { signed: false });
  const arrivalOf = (ctx: Context): Arrival => ({
    cookie: cookieOf(ctx),
    address: ctx.state.address,
    userAgent: ctx.get('user-agent'),
    language: ctx.state.language.code,
  });

  /** A browser that has no cookie of ours is known to no account; then nobody is looked up. */
  async function deviceOf(ctx: Context, target: Target): Promise<string | undefined> {
    const cookie = cookieOf(ctx);
    if (cookie === undefined) return undefined;
    const accountId = 'typed' in target ? await identity.find(target.typed) : target.accountId;
    return devices.recognise(accountId, cookie);
  }

  async function take(ctx: Context, act: Act, target: Target | undefined) {
    const { address } = ctx.state;
    if (!target) return limits.take(act, { address });
    const account = 'typed' in target ? spelled(target.typed) : target.accountId;
    return limits.take(act, { address, account, device: await deviceOf(ctx, target) });
  }

  return {
    async attempt(ctx, act, target, check) {
      const attempt = await take(ctx, act, target);
      failures.set(ctx.req, attempt.failuresBefore);
      let result;
      try {
        result = await check();
      } catch (error) {
        // Whoever was turned away at a full queue, and comes again as they were told, has not guessed.
        if (error instanceof PasswordQueueError) await attempt.notMade();
        throw error;
      }
      await attempt.succeeded();
      return result;
    },

    async count(ctx, act, target) {
      await take(ctx, act, target);
    },

    async knowsDevice(ctx, target) {
      return (await deviceOf(ctx, target)) !== undefined;
    },

    async signsOf(ctx, accountId) {
      const facts = await devices.factsOf(accountId, arrivalOf(ctx));
      return judge({ ...facts, failures: failures.get(ctx.req) ?? 0 }, clock.now()).signs;
    },

    async signedIn(ctx, signIn) {
      const { entry, device, cookie } = await identity.signedIn({ ...signIn, arrival: arrivalOf(ctx) });
      if (cookie !== undefined)
        ctx.cookies.set(cookieName, cookie, {
          maxAge: ONE_YEAR_MS,
          httpOnly: true,
          sameSite: 'lax',
          secure,
          path: '/',
          // It is authenticated by itself, under keys that last longer than those of cookies.
          signed: false,
          overwrite: true,
        });
      return { entry, device };
    },

    devices: (ctx, accountId) => devices.list(accountId, cookieOf(ctx)),
  };
}
