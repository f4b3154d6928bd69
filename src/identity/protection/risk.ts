/** Which sign-ins are unusual. There is no map of addresses: what counts is what the account itself has seen. Pure: time is an argument. */

/** What is known of a sign-in before it is finished. */
export interface Facts {
  readonly knownDevice: boolean;
  readonly knownNetwork: boolean;
  /** The newest sign-in before this one; undefined: there was none, and nothing is unusual yet. */
  readonly last: { readonly at: Date; readonly sameNetwork: boolean } | undefined;
  /** Wrong tries by strangers at this account within a day. */
  readonly failures: number;
}

export type Sign = 'new-network' | 'many-failures' | 'long-away' | 'elsewhere-just-now';

export interface Risk {
  /** The person is told of it. */
  readonly newDevice: boolean;
  /** Why a second factor is asked for, whatever level the portal wants; none: it is not. */
  readonly signs: readonly Sign[];
}

/** From here on, strangers are taken to be at it. A person who has forgotten the password gives up sooner. */
const MANY_FAILURES = 10;
const LONG_AWAY_MS = 180 * 86_400_000;
/** Nobody changes device and network between two sign-ins so close to each other, but for home and mobile network, which are both known soon. */
const JUST_NOW_MS = 15 * 60_000;

/** A known device is never unusual: whoever has it has something besides the password. A new one is, when anything else is odd too. */
export function judge({ knownDevice, knownNetwork, last, failures }: Facts, now: Date): Risk {
  if (knownDevice || !last) return { newDevice: false, signs: [] };
  const age = now.getTime() - last.at.getTime();
  const signs: Sign[] = [];
  if (!knownNetwork) signs.push('new-network');
  if (failures >= MANY_FAILURES) signs.push('many-failures');
  if (age > LONG_AWAY_MS) signs.push('long-away');
  if (!last.sameNetwork && age < JUST_NOW_MS) signs.push('elsewhere-just-now');
  return { newDevice: true, signs };
}
