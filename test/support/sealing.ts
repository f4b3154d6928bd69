/** An organisation with two units, each with its seal and its officer, and tokens to seal with. */
import { UserAgent } from '../../src/demo/user-agent.ts';
import { provision } from '../../src/provision.ts';
import type { Seal } from '../../src/seals/index.ts';
import type { TestApp } from './app.ts';
import { newPerson, registerRelyingParty, signIn, type Person, type RelyingParty } from './relying-party.ts';

export interface SealDesk {
  readonly rp: RelyingParty;
  readonly seals: { readonly administration: Seal; readonly finance: Seal };
  readonly officers: { readonly administration: Person; readonly finance: Person };
  /** An access token for the API, obtained as a portal would. */
  token(person: Person, parameters?: Record<string, string>): Promise<string>;
  /** Asks the API to seal. */
  seal(
    token: string,
    sealId: string,
    document: Uint8Array,
    more?: { options?: object | string; key?: string },
  ): Promise<Response>;
  verify(document: Uint8Array): Promise<Response>;
  rootPem(): Promise<string>;
}

export async function openSealDesk(t: TestApp): Promise<SealDesk> {
  const rp = await registerRelyingParty(t, { clientId: 'seal-desk', scope: 'openid seals:use' });
  const officers = { administration: newPerson(), finance: newPerson() };
  for (const officer of Object.values(officers)) await t.app.identity.register(officer);
  const name = '杭州云栖示例科技有限公司';
  await provision(t.app, {
    organisations: [
      {
        unifiedSocialCreditCode: '91330106MADEMYXKJ3',
        name,
        units: [
          { name: '行政部', officers: [officers.administration.identifier], seals: [name] },
          { name: '财务部', officers: [officers.finance.identifier], seals: [`${name}财务部`] },
        ],
      },
    ],
  });
  const organisation = await t.app.organisations.findByCode('91330106MADEMYXKJ3');
  if (!organisation) throw new Error('no organisation');
  const units = await t.app.organisations.units(organisation);
  const [administration, finance] = await t.app.seals.registry.ofUnits(units.map((unit) => unit.id));
  if (!administration || !finance) throw new Error('no seals');

  const send = (path: string, form: FormData, headers: Record<string, string> = {}) =>
    fetch(`${t.origin}/api/v1${path}`, { method: 'POST', body: form, headers });
  const withDocument = (document: Uint8Array) => {
    const form = new FormData();
    form.set('document', new Blob([Buffer.from(document)], { type: 'application/pdf' }), 'document.pdf');
    return form;
  };
  return {
    rp,
    seals: { administration, finance },
    officers,
    async token(person, parameters = {}) {
      const attempt = await signIn(rp, new UserAgent(), person, {
        resource: `${t.origin}/api/v1`,
        ...parameters,
      });
      return (await rp.redeem(attempt.callback, attempt)).access_token;
    },
    async seal(token, sealId, document, { options, key } = {}) {
      const form = withDocument(document);
      if (options !== undefined)
        form.set('options', typeof options === 'string' ? options : JSON.stringify(options));
      return send(`/seals/${sealId}/sealings`, form, {
        Authorization: `Bearer ${token}`,
        ...(key === undefined ? {} : { 'Idempotency-Key': key }),
      });
    },
    verify: (document) => send('/verifications', withDocument(document)),
    rootPem: async () => (await fetch(`${t.origin}/api/v1/trust-anchors`)).text(),
  };
}
