/** Ways to sign in: an overview, the password, the authenticator app, and recovery codes. Passkeys have pages of their own. */
import { toString as toQrCode } from 'qrcode';
import {
  IdentityError,
  labelOf,
  LADDER,
  mayAddFactor,
  RECOVERY_CODES,
  type Account,
} from '../../identity/index.ts';
import { askToWait, currentDevice, passwordError } from '../../oidc/index.ts';
import { createCipher } from '../../platform/cipher.ts';
import type { Context, Middleware } from '../../platform/http/context.ts';
import type { FieldError, Notice, Person } from './door.ts';
import { maskedIdentifiers } from './identifiers.ts';
import type { Subject } from './routes.ts';

/** The overview of all of them. */
export const METHODS = '/account/methods';
const CONTACTS = {
  'account.username': '/account/username',
  'account.phone': '/account/phone',
  'account.email': '/account/email',
} as const;
const PASSWORD = '/account/password';
const APP = '/account/app';
const RECOVERY = '/account/recovery-codes';
/** Where a password is all that a proofed account has, the holder proves once more who they are, and sets the factor up on the way. */
export const PROVE = '/account/methods/prove';
/** How long a proposed secret of an authenticator app is taken, in milliseconds. */
const PROPOSAL_MS = 1_800_000;

/** @returns what shows the overview after a change, for the other files of this subject. */
export function methodPages(subject: Subject): Done {
  const { router, door, identity } = subject;

  async function renderMethods(ctx: Context, account: Account, notice?: Notice): Promise<void> {
    const has = (method: Account['methods'][number]) => account.methods.includes(method);
    const [passkeys, codes] = await Promise.all([
      identity.passkeys.list(account.id),
      identity.recoveryCodes.left(account.id),
    ]);
    door.render(ctx, 'account-methods', METHODS, {
      notice,
      methods: [
        {
          key: 'methods.password',
          text: { key: has('pwd') ? 'methods.passwordText' : 'methods.passwordNone' },
          links: [{ href: PASSWORD, key: has('pwd') ? 'methods.passwordChange' : 'methods.passwordSet' }],
        },
        {
          key: 'methods.passkeys',
          text: { key: 'methods.passkeysText', params: { n: passkeys.length } },
          links: [{ href: '/account/passkeys', key: 'methods.passkeysManage' }],
        },
        {
          key: 'methods.app',
          text: { key: has('otp') ? 'methods.appOn' : 'methods.appOff' },
          links: [
            has('otp')
              ? { href: `${APP}/remove`, key: 'methods.appRemove' }
              : { href: APP, key: 'methods.appAdd' },
          ],
        },
        {
          key: 'methods.recovery',
          text: { key: 'methods.recoveryText', params: { n: codes } },
          links: [{ href: RECOVERY, key: 'methods.recoveryMake' }],
        },
        ...maskedIdentifiers(account).map(({ key, value, verified }) => ({
          key,
          text:
            value === undefined
              ? { key: 'account.none' }
              : { key: verified === false ? 'methods.unverified' : 'methods.current', params: { value } },
          links: [
            {
              href: CONTACTS[key],
              key:
                value === undefined
                  ? 'methods.add'
                  : verified === false
                    ? 'methods.verify'
                    : 'methods.change',
            },
          ],
        })),
      ],
    });
  }

  /** After a change: what is shown is what holds now. */
  async function done(ctx: Context, { account }: Person, key: string): Promise<void> {
    await renderMethods(ctx, (await identity.account(account.id)) ?? account, { key });
  }

  router.get(
    '/methods',
    door.personal({}, (ctx, { account }) => renderMethods(ctx, account)),
  );
  router.get('/methods/prove', (ctx) => {
    const level = LADDER.find(({ factors }) => factors > 1);
    subject.own.sendToSignIn(ctx, METHODS, level ? { acrValues: level.acr } : {});
  });
  passwordPages(subject, done);
  appPages(subject, done);
  recoveryPages(subject);
  return done;
}

/** Shows the overview after a change. @param key What has been done. */
export type Done = (ctx: Context, person: Person, key: string) => Promise<void>;

/** Runs `handle` for a person who may add a further factor; others are told what comes first. */
export function addingFactor(
  { door }: Subject,
  path: string,
  titleKey: string,
  handle: (ctx: Context, person: Person, form: ReadonlyMap<string, string>) => Promise<void> | void,
): Middleware {
  return door.personal({ full: true, page: path }, (ctx, person, form) => {
    if (mayAddFactor(person.account)) return handle(ctx, person, form);
    door.render(ctx, 'account-question', path, {
      titleKey,
      textKeys: ['methods.proveFirst'],
      linkHref: PROVE,
      submitKey: 'passkeys.prove',
      backHref: METHODS,
    });
  });
}

function passwordPages({ router, door, identity, own }: Subject, done: Done): void {
  function render(ctx: Context, { account }: Person, errors: readonly FieldError[] = []): void {
    door.render(ctx, 'account-password', PASSWORD, {
      action: PASSWORD,
      hasPassword: account.methods.includes('pwd'),
      passwordMinimum: identity.passwords.minimumLength(account),
      errors,
    });
  }

  function problemOf(error: IdentityError, account: Account): FieldError {
    if (error.code === 'CREDENTIALS_WRONG') return { field: 'present', key: 'error.passwordWrong' };
    const { policy, minimumLength } = identity.passwords;
    const problem = passwordError(error.code, policy, minimumLength(account));
    if (!problem) throw error;
    return problem;
  }

  router.get(
    '/password',
    door.personal({ full: true }, (ctx, person) => render(ctx, person)),
  );
  router.post(
    '/password',
    door.personal({ full: true }, async (ctx, person, form) => {
      const accountId = person.account.id;
      const hasPassword = person.account.methods.includes('pwd');
      const [present, password] = [form.get('present') ?? '', form.get('password') ?? ''];
      const missing: FieldError[] = [];
      if (hasPassword && present === '') missing.push({ field: 'present', key: 'error.passwordMissing' });
      if (password === '') missing.push({ field: 'password', key: 'error.passwordNewMissing' });
      else if (password !== form.get('passwordAgain'))
        missing.push({ field: 'passwordAgain', key: 'error.passwordMismatch' });
      if (missing.length > 0) return render(ctx, person, missing);
      const device = await currentDevice(own.guard, ctx, accountId);
      try {
        // Whoever has none has shown in another way all that the account can show.
        await (hasPassword
          ? own.guard.attempt(ctx, 'password', { accountId }, () =>
              identity.passwords.change({ accountId, present, password, device }),
            )
          : identity.passwords.change({ accountId, present: undefined, password, device }));
      } catch (error) {
        if (!(error instanceof IdentityError))
          return askToWait(ctx, error, (errors) => render(ctx, person, errors));
        return render(ctx, person, [problemOf(error, person.account)]);
      }
      await own.endOtherSessions(ctx, 'password-changed');
      await done(ctx, person, 'password.changed');
    }),
  );
}

function appPages(subject: Subject, done: Done): void {
  const { router, door, identity, own, clock, dataKeys } = subject;
  // Between the page and its form the secret is kept by the form, sealed for this session: a form of another's making proves nothing.
  const cipher = createCipher(dataKeys, 'authenticator-app-proposal');
  const contextOf = ({ account, binding }: Person) => `${account.id}/${binding}`;

  function seal(person: Person, secret: string): string {
    const text = JSON.stringify({ secret, at: clock.now().getTime() });
    return Buffer.from(cipher.encrypt(Buffer.from(text), contextOf(person))).toString('base64url');
  }

  /** @returns undefined for what this session was not given, or too long ago. */
  function unseal(person: Person, sealed: string): string | undefined {
    try {
      const bytes = cipher.decrypt(Buffer.from(sealed, 'base64url'), contextOf(person));
      const { secret, at } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
        secret: string;
        at: number;
      };
      return clock.now().getTime() - at <= PROPOSAL_MS ? secret : undefined;
    } catch {
      return undefined;
    }
  }

  async function render(
    ctx: Context,
    person: Person,
    { secret, errors = [] }: { secret: string; errors?: readonly FieldError[] },
  ): Promise<void> {
    const { account } = person;
    const { uri } = identity.totp.show(secret, labelOf(account));
    door.render(ctx, 'account-app', APP, {
      action: APP,
      sealed: seal(person, secret),
      secret: secret.replaceAll(/(.{4})(?=.)/g, '$1 '),
      uri,
      qrCode: await toQrCode(uri, { type: 'svg', margin: 2 }),
      errors,
    });
  }
  const newSecret = () => identity.totp.propose('').secret;

  router.get(
    '/app',
    addingFactor(subject, APP, 'app.title', (ctx, person) => render(ctx, person, { secret: newSecret() })),
  );
  router.post(
    '/app',
    addingFactor(subject, APP, 'app.title', async (ctx, person, form) => {
      const secret = unseal(person, form.get('sealed') ?? '');
      if (secret === undefined)
        return render(ctx, person, { secret: newSecret(), errors: [{ field: 'form', key: 'app.expired' }] });
      const code = form.get('code') ?? '';
      try {
        await own.noteShowing(ctx, await identity.totp.enrol({ accountId: person.account.id, secret, code }));
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        // Somebody was faster, on another page of their own: it is set up.
        if (error.code === 'FACTOR_EXISTS') return done(ctx, person, 'app.added');
        const key = code === '' ? 'error.codeMissing' : 'error.codeWrong';
        return render(ctx, person, { secret, errors: [{ field: 'code', key }] });
      }
      await done(ctx, person, 'app.added');
    }),
  );

  router.get(
    '/app/remove',
    door.personal({ full: true }, (ctx) =>
      door.render(ctx, 'account-question', `${APP}/remove`, {
        titleKey: 'app.removeTitle',
        textKeys: ['app.removeText'],
        action: `${APP}/remove`,
        submitKey: 'app.removeSubmit',
        backHref: METHODS,
        backKey: 'app.keep',
      }),
    ),
  );
  // A second factor alone lets nobody in, so taking it away shuts nobody out. Who takes it away may have lost it to somebody: what was
  // begun with it elsewhere ends.
  router.post(
    '/app/remove',
    door.personal({ full: true }, async (ctx, person) => {
      if (await identity.totp.remove(person.account.id)) await own.endOtherSessions(ctx, 'factor-removed');
      await done(ctx, person, 'app.removed');
    }),
  );
}

function recoveryPages(subject: Subject): void {
  const { router, door, identity, own } = subject;
  router.get(
    '/recovery-codes',
    addingFactor(subject, RECOVERY, 'recovery.title', (ctx) =>
      door.render(ctx, 'account-question', RECOVERY, {
        titleKey: 'recovery.title',
        textKeys: ['recovery.lead'],
        action: RECOVERY,
        submitKey: 'recovery.make',
        submitParams: { n: RECOVERY_CODES },
        backHref: METHODS,
      }),
    ),
  );
  router.post(
    '/recovery-codes',
    addingFactor(subject, RECOVERY, 'recovery.title', async (ctx, { account }) => {
      const codes = await identity.recoveryCodes.generate(account.id);
      // The paper with the set before may be in strange hands.
      if (account.methods.includes('recovery')) await own.endOtherSessions(ctx, 'factor-removed');
      door.render(ctx, 'account-recovery-codes', RECOVERY, { codes, doneHref: METHODS });
    }),
  );
}
