import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Certification } from '../../src/certification/index.ts';
import type { KeyRecord } from '../../src/custody/index.ts';
import {
  derToPem,
  distinguishedName,
  keyPurposes,
  parseCertificate,
  pemToDer,
  type Extensions,
} from '../../src/pki/index.ts';
import { newId, type UnitId } from '../../src/platform/ids.ts';
import {
  folder,
  issue,
  issueCa,
  issueSeal,
  openssl,
  opensslSays,
  privateKeyPem,
  type Holder,
} from '../pki/support.ts';
import { certificationOver, openRooms, type Rooms } from '../support/rooms.ts';

const subject = distinguishedName([
  { countryName: 'CN' },
  { organizationName: '云栖示例' },
  { organizationalUnitName: '行政部' },
  { commonName: '云栖示例有限公司' },
]);
let rooms: Rooms;
let certification: Certification;
let unit: UnitId;
let key: KeyRecord;
let root: Holder;
let ca: Holder;

beforeAll(async () => {
  rooms = await openRooms();
  root = await issueCa('外部根');
  ca = await issueCa('外部签发', { issuer: root });
  const outsideAuthorities = derToPem('CERTIFICATE', root.certificate.der);
  certification = certificationOver(rooms, { outsideAuthorities });
  unit = newId('unit', rooms.clock.now());
  key = await generate();
});
afterAll(() => rooms.db.close());

function generate(owner = unit): Promise<KeyRecord> {
  return rooms.db.transaction((tx) =>
    rooms.custody.generate(tx, { owner, purpose: 'seal', actor: 'system' }),
  );
}

function accept(chain: readonly Uint8Array[], owner: string = unit, keyId = key.id) {
  return rooms.db.transaction((tx) =>
    certification.outside.accept(tx, { owner, keyId, chain, actor: 'system' }),
  );
}

/** A certificate of an outside authority for a key in custody. */
async function certified(
  extensions: Partial<Extensions> = {},
  issuer = ca,
  template: { notAfter?: Date; subjectPublicKey?: KeyRecord['publicKey'] } = {},
): Promise<Buffer> {
  const { certificate } = await issueSeal('云栖示例有限公司', {
    issuer,
    extensions,
    template: { subjectPublicKey: key.publicKey, ...template },
  });
  return certificate.der;
}

test('a key in custody is certified by OpenSSL as an outside authority, and its chain is taken in', async () => {
  const request = await certification.outside.request({ owner: unit, keyId: key.id, subject });
  const files = folder();
  const csr = files.write('r.pem', derToPem('CERTIFICATE REQUEST', request));
  const said = opensslSays(
    'req',
    '-in',
    csr,
    '-noout',
    '-verify',
    '-subject',
    '-nameopt',
    'RFC2253,utf8,-esc_msb',
  );
  expect(said).toContain('verify OK');
  expect(said).toContain('CN=云栖示例有限公司,OU=行政部,O=云栖示例,C=CN');
  openssl(
    'x509',
    '-req',
    '-in',
    csr,
    '-CA',
    files.write('ca.pem', derToPem('CERTIFICATE', ca.certificate.der)),
    '-CAkey',
    files.write('ca.key', privateKeyPem(ca)),
    '-set_serial',
    '0x5a01',
    '-days',
    '3650',
    '-copy_extensions',
    'copy',
    '-out',
    files.path('c.pem'),
  );
  const [der = Buffer.alloc(0)] = pemToDer('CERTIFICATE', files.read('c.pem').toString());
  // OpenSSL dates it by the clock of this machine.
  const { notBefore } = parseCertificate(der);
  rooms.clock.advance(Math.max(0, (notBefore.getTime() - rooms.clock.now().getTime()) / 1000 + 1));
  const { id, certificate } = await accept([der, ca.certificate.der, root.certificate.der]);
  expect(certificate.extensions.keyUsage).toEqual(['digitalSignature', 'nonRepudiation']);
  expect(await certification.certificates.find(id)).toMatchObject({ keyId: key.id, issuerId: undefined });
  expect(await certification.certificates.chainOf(id)).toMatchObject([
    { der: ca.certificate.der },
    { der: root.certificate.der },
  ]);
  const { roots } = await certification.certificates.trust();
  expect(roots.at(-1)?.der).toEqual(root.certificate.der);
  expect((await rooms.audit.about(id, { limit: 1 }))[0]?.entry.type).toBe('certificate.accepted');
});

describe('a chain is refused', () => {
  test.each<[string, string, () => Promise<Uint8Array[]>]>([
    ['CHAIN_UNREADABLE', 'empty', async () => []],
    ['CHAIN_UNREADABLE', 'garbage', async () => [Buffer.from('garbage')]],
    ['CHAIN_UNREADABLE', 'longer than any', async () => Array.from({ length: 9 }, () => ca.certificate.der)],
    [
      'CHAIN_KEY_DIFFERS',
      'for another key',
      async () => [
        await certified({}, ca, { subjectPublicKey: (await generate()).publicKey }),
        ca.certificate.der,
      ],
    ],
    ['CHAIN_KEY_DIFFERS', 'with the authority first', async () => [ca.certificate.der, await certified()]],
    [
      'CHAIN_PURPOSE',
      'of an authority',
      async () => [await certified({ keyUsage: ['keyCertSign'], basicConstraints: { cA: true } })],
    ],
    [
      'CHAIN_PURPOSE',
      'without a word on keyUsage',
      async () => [await certified({ keyUsage: undefined }), ca.certificate.der],
    ],
    [
      'CHAIN_PURPOSE',
      'for time-stamping alone',
      async () => [
        await certified({ extKeyUsage: { keyPurposeIds: [keyPurposes.timeStamping], critical: true } }),
        ca.certificate.der,
      ],
    ],
    ['CHAIN_UNTRUSTED', 'without the certificate in between', async () => [await certified()]],
    [
      'CHAIN_UNTRUSTED',
      'of a root that is not trusted for this',
      async () => {
        const other = await issueCa('外部根');
        return [await certified({}, other), other.certificate.der];
      },
    ],
    [
      'CHAIN_UNTRUSTED',
      'that has expired',
      async () => [await certified({}, ca, { notAfter: new Date('2026-02-01') }), ca.certificate.der],
    ],
    [
      'CHAIN_UNTRUSTED',
      'whose issuer is no authority',
      async () => {
        const impostor = await issue('无权', { issuer: ca });
        return [await certified({}, impostor), impostor.certificate.der, ca.certificate.der];
      },
    ],
  ])('with %s when it is %s', async (code, _, chain) => {
    await expect(accept(await chain())).rejects.toThrow(expect.objectContaining({ code }));
  });

  test('for a key of another unit, which does not exist here', async () => {
    const stranger = newId('unit', rooms.clock.now());
    const missing = expect.objectContaining({ code: 'KEY_NOT_FOUND' });
    await expect(accept([await certified(), ca.certificate.der], stranger)).rejects.toThrow(missing);
    await expect(certification.outside.request({ owner: stranger, keyId: key.id, subject })).rejects.toThrow(
      missing,
    );
  });
});
