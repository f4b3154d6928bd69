/** What messages say: words of the catalogue, without a name. Pure. */
import type { Language } from '../../platform/i18n.ts';
import type { Channel } from './address.ts';

/** Every message there is. The catalogue has `message.<kind>.subject` and `message.<kind>.text` for each. */
export const MESSAGE_KINDS = [
  'signInCode',
  'secondFactorCode',
  'verifyCode',
  'recoveryCode',
  'changeCode',
  'registrationTaken',
  'newDevice',
  'newUnknownDevice',
  'addressTaken',
  'passwordChanged',
  'factorAdded',
  'factorRemoved',
  'passkeySuspended',
  'recoveryCodesMade',
  'recoveryCodeUsed',
  'recoveryStarted',
  'recoveryStopped',
  'recoveryFinished',
  'addressChanged',
  'addressRemoved',
  'misuseReported',
  'dataExported',
  'accountClosed',
] as const;
export type MessageKind = (typeof MESSAGE_KINDS)[number];

/** Parameters that are points in time (ISO 8601). */
const DATES = ['at', 'until'];

/** Puts a message into words. A text message begins with the service's name and has no subject to speak of. */
export function compose(
  language: Language,
  channel: Channel,
  kind: MessageKind,
  parameters: Readonly<Record<string, string | number>>,
): { subject: string; text: string } {
  const service = language.t('service.name');
  const filled: Record<string, string | number> = { ...parameters, service };
  for (const name of DATES)
    if (typeof filled[name] === 'string') filled[name] = language.date(new Date(filled[name]));
  const subject = language.t(`message.${kind}.subject`, filled);
  const words = language.t(`message.${kind}.text`, filled);
  const text =
    channel === 'sms'
      ? language.t('message.sms', { service, words })
      : [words, language.t('message.caution', { service }), ''].join('\n\n');
  return { subject, text };
}
