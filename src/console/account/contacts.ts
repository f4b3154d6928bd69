/**
 * The user name, the phone number and the address of e-mail. A phone or an address is changed by whoever shows one that the account has,
 * and the new one; whether the new one has another account is nowhere to be seen.
 */
import { IdentityError, masked, type Address, type Channel } from '../../identity/index.ts';
import type { Context } from '../../platform/http/context.ts';
import type { FieldError, Person } from './door.ts';
import { addingFactor, METHODS, type Done } from './methods.ts';
import type { Subject } from './routes.ts';

const USERNAME = '/account/username';
const KINDS = [
  { channel: 'sms', path: '/account/phone', words: 'phone', autocomplete: 'tel', inputmode: 'tel' },
  { channel: 'email', path: '/account/email', words: 'email', autocomplete: 'email', inputmode: 'email' },
] as const;

export function contactPages(subject: Subject, done: Done): void {
  usernamePages(subject, done);
  for (const kind of KINDS) addressPages(subject, done, kind);
}

function usernamePages({ router, door, identity, own }: Subject, done: Done): void {
  function render(
    ctx: Context,
    { account }: Person,
    { username = '', errors = [] }: { username?: string; errors?: readonly FieldError[] } = {},
  ): void {
    door.render(ctx, 'account-username', USERNAME, {
      action: USERNAME,
      present: account.username,
      values: { username },
      backHref: METHODS,
      errors,
    });
  }

  router.get(
    '/username',
    door.personal({ full: true }, (ctx, person) => render(ctx, person)),
  );
  router.post(
    '/username',
    door.personal({ full: true }, async (ctx, person, form) => {
      const username = form.get('username') ?? '';
      // That a name is taken is told: it is counted, so that nobody asks for many.
      await own.guard.count(ctx, 'user-name', { accountId: person.account.id });
      try {
        await identity.contacts.setUsername(person.account.id, username);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        const key = error.code === 'IDENTIFIER_TAKEN' ? 'error.usernameTaken' : 'error.usernameForm';
        return render(ctx, person, { username, errors: [{ field: 'username', key }] });
      }
      await done(ctx, person, 'username.changed');
    }),
  );
}

/** A form of one step. */
interface StepForm {
  readonly action: string;
  readonly channel?: Channel;
  readonly fields: readonly object[];
  readonly submit: { readonly key: string; readonly params?: Readonly<Record<string, string>> };
}

function addressPages(subject: Subject, done: Done, kind: (typeof KINDS)[number]): void {
  const { router, door, identity, own, clock } = subject;
  const { contacts } = identity;
  const { channel, path } = kind;
  const local = path.slice('/account'.length);
  const removePath = `${path}/remove`;

  const changerOf = (ctx: Context, { account, binding }: Person) => ({
    accountId: account.id,
    binding,
    language: ctx.state.language.code,
  });
  const presentOf = ({ account }: Person): Address | undefined => {
    const value = channel === 'sms' ? account.phone : account.email;
    return value === undefined ? undefined : { channel, value };
  };

  const codeField = (name: string) => ({
    name,
    type: 'text',
    labelKey: 'code.code',
    hintKey: 'code.hint',
    autocomplete: 'one-time-code',
    inputmode: 'numeric',
  });
  const addressField = (value: string) => ({
    name: 'identifier',
    type: 'text',
    labelKey: `contact.${kind.words}.new`,
    autocomplete: kind.autocomplete,
    inputmode: kind.inputmode,
    value,
  });

  function render(
    ctx: Context,
    person: Person,
    step: {
      readonly titleKey?: string;
      readonly lead: { readonly key: string; readonly params?: Readonly<Record<string, string>> };
      readonly forms: readonly StepForm[];
      /** Another way on from here. */
      readonly link?: { readonly href: string; readonly key: string };
      readonly errors?: readonly FieldError[];
    },
  ): void {
    const present = presentOf(person);
    door.render(ctx, 'account-contact', path, {
      titleKey: `contact.${kind.words}.title`,
      ...step,
      present: present && masked(present),
      backHref: METHODS,
    });
  }

  /** Where a code can go that shows that it is the person: one form each. */
  const askForms = (known: readonly Address[], action: string): StepForm[] =>
    known.map((address) => ({
      action,
      channel: address.channel,
      fields: [],
      submit: { key: 'contact.send', params: { to: masked(address) } },
    }));

  function renderStart(ctx: Context, person: Person, errors: readonly FieldError[] = []): void {
    const known = contacts.known(person.account);
    if (known.length === 0) return renderNew(ctx, person, { errors });
    render(ctx, person, {
      lead: { key: 'contact.first' },
      forms: askForms(known, `${path}/known`),
      ...(presentOf(person) && known.some((address) => address.channel !== channel)
        ? { link: { href: removePath, key: `contact.${kind.words}.remove` } }
        : {}),
      errors,
    });
  }

  /** The new address, with the code that went to a known one. */
  function renderNew(
    ctx: Context,
    person: Person,
    { text = '', errors = [] }: { text?: string; errors?: readonly FieldError[] } = {},
  ): void {
    const known = contacts.known(person.account).length > 0;
    render(ctx, person, {
      lead: { key: known ? 'contact.knownSent' : `contact.${kind.words}.lead` },
      forms: [
        {
          action: `${path}/new`,
          fields: [...(known ? [codeField('knownCode')] : []), addressField(text)],
          submit: { key: 'step.submit' },
        },
      ],
      ...(known ? { link: { href: path, key: 'code.resend' } } : {}),
      errors,
    });
  }

  function renderConfirm(ctx: Context, person: Person, to: string, errors: readonly FieldError[] = []): void {
    render(ctx, person, {
      lead: { key: 'code.sent', params: { to } },
      forms: [{ action: `${path}/confirm`, fields: [codeField('code')], submit: { key: 'step.submit' } }],
      errors,
    });
  }

  /** Sends a code to a known address. @returns what is in the way of it. */
  async function askKnown(
    ctx: Context,
    person: Person,
    form: ReadonlyMap<string, string>,
  ): Promise<FieldError | undefined> {
    const to = contacts.known(person.account).find((address) => address.channel === form.get('channel'));
    if (!to) return { field: 'form', key: 'error.channelMissing' };
    await own.guard.count(ctx, 'code-sending', { accountId: person.account.id });
    const { sent, resendAt } = await contacts.askKnown(changerOf(ctx, person), to.channel);
    return sent ? undefined : tooSoon(resendAt);
  }
  const tooSoon = (resendAt: Date): FieldError => ({
    field: 'form',
    key: 'error.codeTooSoon',
    params: { seconds: Math.max(1, Math.ceil((resendAt.getTime() - clock.now().getTime()) / 1000)) },
  });

  router.get(
    local,
    addingFactor(subject, path, `contact.${kind.words}.title`, (ctx, person) => renderStart(ctx, person)),
  );
  router.post(
    `${local}/known`,
    addingFactor(subject, path, `contact.${kind.words}.title`, async (ctx, person, form) => {
      const problem = await askKnown(ctx, person, form);
      if (problem) renderStart(ctx, person, [problem]);
      else renderNew(ctx, person);
    }),
  );
  router.post(
    `${local}/new`,
    addingFactor(subject, path, `contact.${kind.words}.title`, async (ctx, person, form) => {
      const [text, knownCode] = [form.get('identifier') ?? '', form.get('knownCode') ?? ''];
      try {
        const to = contacts.read(text);
        if (to.channel !== channel) throw new IdentityError('IDENTIFIER_FORM', 'It is of the other kind.');
        await own.guard.count(ctx, 'code-sending', { accountId: person.account.id });
        const { sent, resendAt } = await own.guard.attempt(
          ctx,
          'one-time-code',
          { accountId: person.account.id },
          () => contacts.propose(changerOf(ctx, person), { text, knownCode }),
        );
        if (!sent) return renderNew(ctx, person, { text, errors: [tooSoon(resendAt)] });
        renderConfirm(ctx, person, masked(to));
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        renderNew(ctx, person, { text, errors: [newProblem(error, { text, knownCode })] });
      }
    }),
  );
  router.post(
    `${local}/confirm`,
    addingFactor(subject, path, `contact.${kind.words}.title`, async (ctx, person, form) => {
      const code = form.get('code') ?? '';
      const { id: accountId } = person.account;
      try {
        await own.guard.attempt(ctx, 'one-time-code', { accountId }, () =>
          contacts.confirm(changerOf(ctx, person), code),
        );
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        const t = ctx.state.language.t;
        return renderConfirm(ctx, person, t('contact.newAddress'), [codeError('code', error, code)]);
      }
      await own.noteShowing(ctx, { accountId, method: channel, at: clock.now() });
      await done(ctx, person, `contact.${kind.words}.changed`);
    }),
  );

  router.get(
    `${local}/remove`,
    door.personal({ full: true }, (ctx, person) =>
      render(ctx, person, {
        titleKey: `contact.${kind.words}.remove`,
        lead: { key: 'contact.removeLead' },
        forms: askForms(contacts.known(person.account), `${removePath}/known`),
      }),
    ),
  );
  function renderRemoval(ctx: Context, person: Person, errors: readonly FieldError[] = []): void {
    render(ctx, person, {
      titleKey: `contact.${kind.words}.remove`,
      lead: { key: 'contact.removeSent' },
      forms: [
        {
          action: removePath,
          fields: [codeField('knownCode')],
          submit: { key: `contact.${kind.words}.remove` },
        },
      ],
      errors,
    });
  }
  router.post(
    `${local}/remove/known`,
    door.personal({ full: true, page: removePath }, async (ctx, person, form) => {
      const problem = await askKnown(ctx, person, form);
      renderRemoval(ctx, person, problem ? [problem] : []);
    }),
  );
  router.post(
    `${local}/remove`,
    door.personal({ full: true }, async (ctx, person, form) => {
      const knownCode = form.get('knownCode') ?? '';
      try {
        await own.guard.attempt(ctx, 'one-time-code', { accountId: person.account.id }, () =>
          contacts.remove(changerOf(ctx, person), { channel, knownCode }),
        );
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        const problem =
          error.code === 'ADDRESS_LAST'
            ? { field: 'form', key: 'error.addressLast' }
            : codeError('knownCode', error, knownCode);
        return renderRemoval(ctx, person, [problem]);
      }
      await done(ctx, person, `contact.${kind.words}.removed`);
    }),
  );
}

function codeError(field: string, error: IdentityError, code: string): FieldError {
  if (code.trim() === '') return { field, key: 'error.sentCodeMissing' };
  switch (error.code) {
    case 'CODE_OVER':
      return { field, key: 'error.sentCodeOver' };
    case 'CODE_WRONG':
      return { field, key: 'error.sentCodeWrong' };
    // It has come to another account since its code was sent.
    case 'IDENTIFIER_TAKEN':
      return { field: 'form', key: 'error.contactTaken' };
    default:
      throw error;
  }
}

function newProblem(
  error: IdentityError,
  { text, knownCode }: { readonly text: string; readonly knownCode: string },
): FieldError {
  const field = 'identifier';
  if (text.trim() === '') return { field, key: 'error.addressMissing' };
  switch (error.code) {
    case 'IDENTIFIER_FORM':
      return { field, key: 'error.addressForm' };
    case 'CHANNEL_MISSING':
      return { field, key: 'error.channelMissing' };
    case 'IDENTIFIER_TAKEN':
      return { field, key: 'error.contactOwn' };
    default:
      return codeError('knownCode', error, knownCode);
  }
}
