/** Where people are reached. Pure. */
import type { Identifier } from '../identifiers.ts';

export type Channel = 'sms' | 'email';

export interface Address {
  readonly channel: Channel;
  /** `sms`: E.164. `email`: an address of RFC 5321. */
  readonly value: string;
}

/** The address that an identifier is, if it is one. */
export function addressOf({ kind, value }: Identifier): Address | undefined {
  if (kind === 'username') return undefined;
  return { channel: kind === 'phone' ? 'sms' : 'email', value };
}

/** The identifier that an address is. */
export function identifierOf({ channel, value }: Address): Identifier {
  return { kind: channel === 'sms' ? 'phone' : 'email', value };
}

/** An address as its owner still knows it and nobody else can use it: `138****8000`, `l***@example.cn`. */
export function masked({ channel, value }: Address): string {
  if (channel === 'sms') return value.replace(/^\+86(\d{3})\d{4}(\d{4})$/, '$1****$2');
  return value.replace(/^(.)[^@]*(@.*)$/, '$1***$2');
}
