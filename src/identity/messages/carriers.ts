/** The carriers of an installation, as its configuration names them. */
import type { Clock } from '../../platform/clock.ts';
import type { Config } from '../../platform/config.ts';
import { createOutboundFetch } from '../../platform/http/outbound.ts';
import type { Languages } from '../../platform/i18n.ts';
import type { Channel } from './address.ts';
import { createDevelopmentOutbox, type DevelopmentOutbox } from './development.ts';
import { createGatewayCarrier, type GatewayAuthentication } from './gateway.ts';
import type { Carrier } from './messages.ts';
import { createSmtpCarrier } from './smtp.ts';

export interface Carriers {
  readonly carriers: Readonly<Partial<Record<Channel, Carrier>>>;
  /** What embedded mode posts where nothing real is connected; server mode has none. */
  readonly development: DevelopmentOutbox | undefined;
  close(): void;
}

export function createCarriers(parts: { config: Config; languages: Languages; clock: Clock }): Carriers {
  const { config, languages, clock } = parts;
  const { smtp, smsGateway } = config.messages;
  const development = config.mode === 'embedded' ? createDevelopmentOutbox(clock) : undefined;
  const mail =
    smtp &&
    createSmtpCarrier({
      url: new URL(smtp.url),
      from: smtp.from,
      fromName: (code) => (languages.get(code) ?? languages.choose({})).t('service.name'),
      authorities: config.outboundAuthorities,
    });
  const text =
    smsGateway &&
    createGatewayCarrier({
      url: new URL(smsGateway.url),
      authentication: authenticationOf(smsGateway),
      fetch: createOutboundFetch(config.outboundNetworks, config.outboundAuthorities),
      clock,
    });
  const sms = text ?? development?.carrier('sms');
  const email = mail?.carry ?? development?.carrier('email');
  return {
    carriers: { ...(sms ? { sms } : {}), ...(email ? { email } : {}) },
    development,
    close: () => mail?.close(),
  };
}

function authenticationOf(gateway: NonNullable<Config['messages']['smsGateway']>): GatewayAuthentication {
  return 'token' in gateway
    ? { kind: 'bearer', token: gateway.token }
    : { kind: 'signature', key: Buffer.from(gateway.key, 'base64'), keyId: gateway.keyId };
}
