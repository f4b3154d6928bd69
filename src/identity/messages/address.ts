/** Where people are reached. Pure. */

export type Channel = 'sms' | 'email';

export interface Address {
  readonly channel: Channel;
  /** `sms`: E.164. `email`: an address of RFC 5321. */
  readonly value: string;
}

/** An address as its owner still knows it and nobody else can use it: `138****8000`, `l***@example.cn`. */
export function masked({ channel, value }: Address): string {
  if (channel === 'sms') return value.replace(/^\+86(\d{3})\d{4}(\d{4})$/, '$1****$2');
  return value.replace(/^(.)[^@]*(@.*)$/, '$1***$2');
}
