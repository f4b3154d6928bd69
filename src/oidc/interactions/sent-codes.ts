/** A code that was sent to a person, and the page on which they type it: the same for signing in, registering and recovering. */
import { masked, type Address, type CodePurpose, type IdentityError } from '../../identity/index.ts';
import type { Context } from '../../platform/http/context.ts';
import type { AccountId } from '../../platform/ids.ts';
import { TTL } from '../configuration.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

const MODEL = 'SentCode';

/** What was sent last for one purpose in one interaction. */
interface Sent {
  readonly to: Address;
  /** Seconds since 1970 from which another may be asked for. */
  readonly resendAt: number;
}

/** Where the code goes, and whom it will speak for. */
export interface Recipient {
  readonly to: Address;
  readonly accountId: AccountId | undefined;
  /** What is sent: the code, another message in its place, or nothing; the page is the same. */
  readonly message: Parameters<InteractionParts['identity']['oneTimeCodes']['send']>[0]['message'];
}

/** The page of one purpose. */
export interface CodePage {
  readonly purpose: CodePurpose;
  /** Its path, below the interaction's. `<path>/resend` sends another. */
  readonly path: string;
  readonly titleKey: string;
  /** Path of the page before it, where an address is typed; left out: there is none. */
  readonly backPath?: string;
}

export interface SentCodes {
  /** Sends a code. @returns undefined, or what to say on the form: that one went to this address too short a time ago. */
  send(
    ctx: Context,
    visit: Visit,
    purpose: CodePurpose,
    recipient: Recipient,
  ): Promise<FieldError | undefined>;
  /** Where the last one went, if any did. */
  sentTo(visit: Visit, purpose: CodePurpose): Promise<Address | undefined>;
  /** Shows the page for the code that was sent; without one, goes back to where an address is typed. */
  render(
    ctx: Context,
    visit: Visit,
    page: CodePage,
    more?: { readonly errors?: readonly FieldError[]; readonly others?: readonly object[] },
  ): Promise<void>;
}

export function createSentCodes(
  { identity, clock, records, guard }: InteractionParts,
  { render }: Visits,
): SentCodes {
  const now = () => clock.now().getTime() / 1000;
  const key = ({ interaction }: Visit, purpose: CodePurpose) => `${interaction.uid}/${purpose}`;

  async function find(visit: Visit, purpose: CodePurpose): Promise<Sent | undefined> {
    const found = await records.find(MODEL, key(visit, purpose));
    return found?.payload as Sent | undefined;
  }

  return {
    async send(ctx, visit, purpose, { to, accountId, message }) {
      await guard.count(ctx, 'code-sending');
      const sending = await identity.oneTimeCodes.send({
        purpose,
        binding: visit.interaction.uid,
        to,
        accountId,
        message,
        language: ctx.state.language.code,
        knownDevice: await guard.knowsDevice(ctx, { typed: to.value }),
      });
      const resendAt = sending.resendAt.getTime() / 1000;
      if (sending.sent) await records.put(MODEL, key(visit, purpose), { to, resendAt }, TTL.Interaction);
      else
        return { field: 'form', key: 'error.codeTooSoon', params: { seconds: Math.ceil(resendAt - now()) } };
    },

    async sentTo(visit, purpose) {
      return (await find(visit, purpose))?.to;
    },

    async render(ctx, visit, page, { errors = [], others = [] } = {}) {
      const sent = await find(visit, page.purpose);
      const path = `${visit.base}${page.path}`;
      if (!sent) {
        ctx.status = 303;
        return ctx.redirect(`${visit.base}${page.backPath ?? ''}`);
      }
      render(
        ctx,
        'code',
        visit,
        {
          titleKey: page.titleKey,
          action: path,
          resendAction: `${path}/resend`,
          backHref: page.backPath === undefined ? undefined : `${visit.base}${page.backPath}`,
          to: masked(sent.to),
          others,
          errors,
        },
        path,
      );
    },
  };
}

/** What to say of a code that was refused. */
export function codeProblem(error: IdentityError, code: string): FieldError {
  if (code.trim() === '') return { field: 'code', key: 'error.sentCodeMissing' };
  return { field: 'code', key: error.code === 'CODE_OVER' ? 'error.sentCodeOver' : 'error.sentCodeWrong' };
}

/** What to say of a text that is no address. */
export function addressProblem(error: IdentityError, text: string): FieldError {
  if (text.trim() === '') return { field: 'identifier', key: 'error.addressMissing' };
  return {
    field: 'identifier',
    key: error.code === 'CHANNEL_MISSING' ? 'error.channelMissing' : 'error.addressForm',
  };
}
