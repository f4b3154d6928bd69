/** How identifiers are shown to their owner: their middle hidden, for whoever looks over a shoulder. */
import { masked, type Account } from '../../identity/index.ts';

export interface ShownIdentifier {
  /** In the catalogue. */
  readonly key: 'account.username' | 'account.phone' | 'account.email';
  readonly value: string | undefined;
  /** Undefined where there is nothing to verify. */
  readonly verified?: boolean;
}

export function maskedIdentifiers(account: Account): ShownIdentifier[] {
  const { phone, email } = account;
  return [
    { key: 'account.username', value: account.username },
    {
      key: 'account.phone',
      value: phone === undefined ? undefined : masked({ channel: 'sms', value: phone }),
      verified: account.phoneVerified,
    },
    {
      key: 'account.email',
      value: email === undefined ? undefined : masked({ channel: 'email', value: email }),
      verified: account.emailVerified,
    },
  ];
}
