/** The identity room: accounts, and each credential by its name. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import type { AccountId, DeviceId } from '../platform/ids.ts';
import { createAddresses, type Addresses } from './addresses.ts';
import { createContacts, type Contacts } from './contacts.ts';
import { createAccounts, type Account, type Accounts } from './accounts.ts';
import { amrOf, methodsOf, type Factors } from './assurance.ts';
import { createOneTimeCodes, type OneTimeCodes } from './credentials/one-time-codes.ts';
import { createCrossDevice, type CrossDevice } from './credentials/cross-device.ts';
import type { TakeOnce } from './credentials/passkey-challenges.ts';
import { createPasskeys, type Passkeys } from './credentials/passkeys.ts';
import type { PasswordHasher } from './credentials/password-hasher.ts';
import { createPasswordPolicy, type PasswordPolicy } from './credentials/password-policy.ts';
import { createPasswords, type Passwords } from './credentials/passwords.ts';
import { createRecoveryCodes, type RecoveryCodes } from './credentials/recovery-codes.ts';
import type { Showing } from './credentials/showing.ts';
import { createTotp, type Totp } from './credentials/totp.ts';
import { IdentityError } from './errors.ts';
import { createFederation, type Federation } from './federation/federation.ts';
import type { Upstream } from './federation/upstream.ts';
import { createMisuseReports, type MisuseReports } from './misuse-reports.ts';
import { createPersonalData, type PersonalData } from './personal-data.ts';
import type { MessageSender } from './messages/messages.ts';
import { createNotices } from './notices.ts';
import { createRecovery, type Recovery } from './recovery.ts';
import { createDevices, type Arrival, type Devices } from './protection/devices.ts';
import { parseIdentifier } from './identifiers.ts';
import type { ProofingAuthority } from './proofing/authority.ts';
import { createPersons, type Persons } from './proofing/persons.ts';
import { createProofing, type Proofing } from './proofing/proofing.ts';

/** Where the word of a notice stops a recovery. */
export const RECOVERY_STOP_PATH = '/recovery/stop';

/** What other parts of the room need of accounts, and nobody outside it. */
type Inside = 'keysOf' | 'open' | 'openWithoutIdentifier' | 'absorb' | 'assign' | 'withdraw' | 'lock';

export interface Identity extends Omit<Accounts, Inside> {
  readonly passwords: Passwords;
  readonly totp: Totp;
  readonly oneTimeCodes: OneTimeCodes;
  readonly recoveryCodes: RecoveryCodes;
  readonly contacts: Contacts;
  readonly recovery: Recovery;
  readonly devices: Devices;
  readonly passkeys: Passkeys;
  /** Signing in on one device by approving on another. */
  readonly crossDevice: CrossDevice;
  readonly persons: Persons;
  readonly proofing: Proofing;
  readonly addresses: Addresses;
  readonly federation: Federation;
  readonly personalData: PersonalData;
  readonly misuseReports: MisuseReports;
  /** What is wrong with a registration before it is tried; every problem at once, for the form. */
  check(registration: { identifier: string; password: string }): IdentityError['code'][];
  /**
   * Opens an account with one identifier and a password.
   * @param registration.verified Whether the identifier was shown to be the person's own.
   * @param registration.language In which the holder is told what happens to the account.
   * @throws {IdentityError} what `check` finds; IDENTIFIER_TAKEN.
   */
  register(registration: {
    identifier: string;
    password: string;
    verified?: boolean;
    language?: string;
  }): Promise<Showing>;
  /** Records how sure it is who the holder is, as an operator says: 0 nothing checked, 4 in person. */
  recordProofing: Persons['attest'];
  /**
   * Records that a person has signed in, and where: their device is known from then on.
   * @param signIn.factors What they have shown for it.
   * @returns sequence number of the audit entry; the device and its cookie, as `devices.remember` gives them.
   */
  signedIn(signIn: {
    account: Account;
    factors: Factors;
    clientId: string;
    arrival: Arrival;
  }): Promise<{ readonly entry: number; readonly device: DeviceId; readonly cookie: string | undefined }>;
}

export function createIdentity(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
  passwords: PasswordHasher;
  /** Default: what is declared in `config/passwords.json`. */
  passwordPolicy?: PasswordPolicy;
  messages: MessageSender;
  /** Name of the service, as browsers and authenticator apps show it. */
  serviceName: string;
  /** Origin of the pages: passkeys are good there and nowhere else. */
  issuer: string;
  /** How long a recovery without the second factor waits. */
  recoveryWaitHours: number;
  /** Makers (PEM) of keys in hardware, whose attestations of passkeys are believed. */
  passkeyAuthorities: string | undefined;
  takeOnce: TakeOnce;
  /** Who can say whether people are who they say; the first that knows a kind of document is asked about it. */
  authorities?: readonly ProofingAuthority[];
  /** Identity providers whose word is believed. */
  upstreams?: readonly Upstream[];
  /** What else belongs to an account and goes with it when it is closed into another. */
  onMerge?: readonly ((tx: Queryable, from: AccountId, into: AccountId) => Promise<void>)[];
  /** What other rooms hold of a person, and remove when the account is closed. */
  onClose?: readonly ((tx: Queryable, accountId: AccountId) => Promise<void>)[];
}): Identity {
  const { db, clock, messages } = parts;
  const notices = createNotices(parts);
  const { audit } = notices;
  const told = { ...parts, audit };
  const inside = createAccounts({ ...told, channels: messages.channels });
  const { open, openWithoutIdentifier, absorb, keysOf: _keysOf, assign: _assign, ...rest } = inside;
  const { withdraw: _withdraw, lock: _lock, ...accounts } = rest;
  const policy = parts.passwordPolicy ?? createPasswordPolicy({ context: [parts.serviceName] });
  const passwords = createPasswords({ ...told, hasher: parts.passwords, policy, accounts: inside });
  const oneTimeCodes = createOneTimeCodes(parts);
  const recovery = createRecovery({
    db,
    clock,
    notices,
    accounts: inside,
    passwords,
    stopAddress: `${parts.issuer}${RECOVERY_STOP_PATH}`,
    waitHours: parts.recoveryWaitHours,
  });
  const persons = createPersons({ ...told, onMerge: [absorb, ...(parts.onMerge ?? [])] });

  const devices = createDevices(told);
  const passkeys = createPasskeys({ ...told, accounts: inside, authorities: parts.passkeyAuthorities });
  const addresses = createAddresses(parts);

  function check(registration: { identifier: string; password: string }): IdentityError['code'][] {
    const { identifier, password } = registration;
    const problem = policy.problem(password, { alone: true, context: [identifier] });
    return [
      ...(parseIdentifier(identifier) ? [] : (['IDENTIFIER_FORM'] as const)),
      ...(problem ? [problem] : []),
    ];
  }

  return {
    ...accounts,
    passwords,
    totp: createTotp({ ...told, issuerName: parts.serviceName }),
    oneTimeCodes,
    recoveryCodes: createRecoveryCodes(told),
    contacts: createContacts({ db, notices, messages, accounts: inside, oneTimeCodes }),
    recovery,
    devices,
    passkeys,
    crossDevice: createCrossDevice(told),
    persons,
    proofing: createProofing({ ...told, persons, authorities: parts.authorities ?? [] }),
    recordProofing: persons.attest,
    federation: createFederation({
      ...told,
      persons,
      openWithoutIdentifier,
      upstreams: parts.upstreams ?? [],
    }),
    addresses,
    personalData: createPersonalData({
      ...told,
      notices,
      persons,
      passkeys,
      devices,
      addresses,
      onClose: parts.onClose ?? [],
    }),
    misuseReports: createMisuseReports(told),
    check,

    async register(registration) {
      const [problem] = check(registration);
      const identifier = parseIdentifier(registration.identifier);
      if (problem || !identifier)
        throw new IdentityError(
          problem ?? 'IDENTIFIER_FORM',
          'The registration cannot be accepted as it is.',
        );
      const hash = await passwords.hash(registration.password, { context: [registration.identifier] });
      const accountId = await db.transaction(async (tx) => {
        const { verified = false, language } = registration;
        const opened = await open(tx, identifier, { verified, language });
        await passwords.set(tx, opened, hash);
        await audit.record(tx, {
          type: 'account.registered',
          actor: opened,
          subject: opened,
          detail: { identifierKind: identifier.kind },
        });
        return opened;
      });
      return { accountId, method: 'pwd', at: clock.now() };
    },

    signedIn({ account, factors, clientId, arrival }) {
      const shown = methodsOf(factors);
      const about = { actor: account.id, subject: account.id };
      return db.transaction(async (tx) => {
        await recovery.refute(tx, account.id, shown);
        const { id, isNew, cookie } = await devices.remember(tx, account, arrival);
        const recorded = await audit.recordAll(tx, [
          ...(isNew ? [{ ...about, type: 'account.device-added' as const, detail: { deviceId: id } }] : []),
          { ...about, type: 'account.signed-in', detail: { amr: amrOf(shown), clientId } },
        ]);
        return { entry: recorded.at(-1)?.entry.seq ?? 0, device: id, cookie };
      });
    },
  };
}
