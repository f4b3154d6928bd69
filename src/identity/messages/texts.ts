/** What messages say: words of the catalogue, without a link that a stranger could imitate and without a name. Pure. */
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
] as const;
export type MessageKind = (typeof MESSAGE_KINDS)[number];

/** Puts a message into words. A text message begins with the service's name and has no subject to speak of. */
export function compose(
  language: Language,
  channel: Channel,
  kind: MessageKind,
  parameters: Readonly<Record<string, string | number>>,
): { subject: string; text: string } {
  const service = language.t('service.name');
  const filled = { ...parameters, service };
  const subject = language.t(`message.${kind}.subject`, filled);
  const words = language.t(`message.${kind}.text`, filled);
  const text =
    channel === 'sms'
      ? language.t('message.sms', { service, words })
      : [words, language.t('message.caution', { service }), ''].join('\n\n');
  return { subject, text };
}
