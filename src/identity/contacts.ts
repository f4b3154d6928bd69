/**
 * The phone number and the address of e-mail of an account: added, changed and removed by whoever shows one that it has, and the new one.
 * That an address has another account is told to that account's holder alone.
 */
import type { Db } from '../platform/db/db.ts';
import type { AccountId } from '../platform/ids.ts';
import type { Account, Accounts } from './accounts.ts';
import type { OneTimeCodes, Sending } from './credentials/one-time-codes.ts';
import { IdentityError } from './errors.ts';
import { parseIdentifier } from './identifiers.ts';
import { addressOf, identifierOf, type Address, type Channel } from './messages/address.ts';
import type { MessageSender } from './messages/messages.ts';
import type { Notices } from './notices.ts';

/** Who changes it, and in which place: a secret of the browser, as with one-time codes. */
export interface Changer {
  readonly accountId: AccountId;
  readonly binding: string;
  /** BCP 47 tag of a catalogue. */
  readonly language: string;
}

export interface Contacts {
  /**
   * Reads what a person types as an address to which this installation can send.
   * @throws {IdentityError} IDENTIFIER_FORM; CHANNEL_MISSING: nothing is sent by this channel here.
   */
  read(text: string): Address;
  /** The addresses that were shown to be the holder's, and to which something can be sent. Where there are any, one of them confirms each change. */
  known(account: Account): Address[];
  /** Sends a code to a known address. @throws {IdentityError} CHANNEL_MISSING: the account has none of this channel. */
  askKnown(changer: Changer, channel: Channel): Promise<Sending>;
  /**
   * Takes the code of a known address, where the account has one, and sends another to the new address.
   * @throws {IdentityError} what `read` throws; CODE_WRONG or CODE_OVER of the known address; IDENTIFIER_TAKEN: the account has it itself.
   */
  propose(changer: Changer, proposal: { text: string; knownCode: string }): Promise<Sending>;
  /**
   * Takes the code of the new address, which then takes the place of the one of its kind.
   * @throws {IdentityError} CODE_WRONG, CODE_OVER; IDENTIFIER_TAKEN: it has come to another account meanwhile.
   */
  confirm(changer: Changer, code: string): Promise<void>;
  /**
   * Takes an address away. Whoever keeps one can be told what happens, and can recover the account.
   * @throws {IdentityError} CODE_WRONG or CODE_OVER of a known address; ADDRESS_LAST: it is the only one.
   */
  remove(changer: Changer, removal: { channel: Channel; knownCode: string }): Promise<void>;
  /**
   * Chooses or changes the user name. Names are public: that one is taken is told.
   * @throws {IdentityError} IDENTIFIER_FORM, IDENTIFIER_TAKEN
   */
  setUsername(accountId: AccountId, name: string): Promise<void>;
}

export function createContacts(parts: {
  db: Db;
  notices: Notices;
  messages: MessageSender;
  accounts: Accounts;
  oneTimeCodes: OneTimeCodes;
}): Contacts {
  const { db, notices, messages, accounts, oneTimeCodes } = parts;
  const known = ({ binding }: Changer) => ({ purpose: 'change', binding: `${binding}/known` }) as const;
  const proposed = ({ binding }: Changer) => ({ purpose: 'change', binding: `${binding}/new` }) as const;

  function read(text: string): Address {
    const identifier = parseIdentifier(text);
    const address = identifier && addressOf(identifier);
    if (!address)
      throw new IdentityError('IDENTIFIER_FORM', 'This is no phone number and no address of e-mail.');
    if (!messages.channels.has(address.channel))
      throw new IdentityError('CHANNEL_MISSING', 'Nothing can be sent to this kind of address here.');
    return address;
  }

  function knownOf({ phone, phoneVerified, email, emailVerified }: Account): Address[] {
    const all: Address[] = [
      ...(phone !== undefined && phoneVerified ? [{ channel: 'sms', value: phone } as const] : []),
      ...(email !== undefined && emailVerified ? [{ channel: 'email', value: email } as const] : []),
    ];
    return all.filter(({ channel }) => messages.channels.has(channel));
  }

  async function accountOf(accountId: string): Promise<Account> {
    const account = await accounts.account(accountId);
    if (!account) throw new IdentityError('CREDENTIALS_WRONG', 'There is no such account.');
    return account;
  }

  async function takeKnown(changer: Changer, code: string): Promise<void> {
    if (knownOf(await accountOf(changer.accountId)).length === 0) return;
    const { accountId } = await oneTimeCodes.check({ ...known(changer), code });
    if (accountId !== changer.accountId) throw new IdentityError('CODE_WRONG', 'The code is not right.');
  }

  return {
    read,
    known: knownOf,

    async askKnown(changer, channel) {
      const { accountId, language } = changer;
      const to = knownOf(await accountOf(accountId)).find((address) => address.channel === channel);
      if (!to) throw new IdentityError('CHANNEL_MISSING', 'The account has no such address.');
      return oneTimeCodes.send({ ...known(changer), to, accountId, language, message: 'code' });
    },

    async propose(changer, { text, knownCode }) {
      const to = read(text);
      const account = await accountOf(changer.accountId);
      if (knownOf(account).some(({ channel, value }) => channel === to.channel && value === to.value))
        throw new IdentityError('IDENTIFIER_TAKEN', 'The account has this address already.');
      await takeKnown(changer, knownCode);
      const own = (to.channel === 'sms' ? account.phone : account.email) === to.value;
      const taken = !own && (await accounts.isTaken(to));
      return oneTimeCodes.send({
        ...proposed(changer),
        to,
        accountId: undefined,
        language: changer.language,
        message: taken ? 'addressTaken' : 'code',
      });
    },

    async confirm(changer, code) {
      const identifier = identifierOf(await oneTimeCodes.verify({ ...proposed(changer), code }));
      const { accountId } = changer;
      await db.transaction(async (tx) => {
        const before = await accounts.assign(tx, accountId, identifier, { verified: true });
        await notices.tell(tx, accountId, 'addressChanged', {}, before && addressOf(before));
        await notices.audit.record(tx, {
          type: 'account.identifier-set',
          actor: accountId,
          subject: accountId,
          detail: { kind: identifier.kind, replaced: before !== undefined },
        });
      });
    },

    async remove(changer, { channel, knownCode }) {
      const { accountId } = changer;
      if (!knownOf(await accountOf(accountId)).some((address) => address.channel !== channel))
        throw new IdentityError(
          'ADDRESS_LAST',
          'The last address of an account can be changed, not removed.',
        );
      await takeKnown(changer, knownCode);
      await db.transaction(async (tx) => {
        await accounts.lock(tx, accountId);
        const before = await accounts.withdraw(tx, accountId, channel === 'sms' ? 'phone' : 'email');
        const left = await tx.query(
          `SELECT 1 FROM account_identifiers WHERE account_id = $1 AND kind <> 'username' AND verified_at IS NOT NULL`,
          [accountId],
        );
        // Two who remove one each, at once, must not leave none.
        if (left.length === 0)
          throw new IdentityError(
            'ADDRESS_LAST',
            'The last address of an account can be changed, not removed.',
          );
        if (!before) return;
        await notices.tell(tx, accountId, 'addressRemoved', {}, addressOf(before));
        await notices.audit.record(tx, {
          type: 'account.identifier-removed',
          actor: accountId,
          subject: accountId,
          detail: { kind: before.kind },
        });
      });
    },

    async setUsername(accountId, name) {
      const identifier = parseIdentifier(name);
      if (identifier?.kind !== 'username')
        throw new IdentityError('IDENTIFIER_FORM', 'This cannot be a user name.');
      await db.transaction(async (tx) => {
        const before = await accounts.assign(tx, accountId, identifier, { verified: false });
        await notices.audit.record(tx, {
          type: 'account.identifier-set',
          actor: accountId,
          subject: accountId,
          detail: { kind: 'username', replaced: before !== undefined },
        });
      });
    },
  };
}
