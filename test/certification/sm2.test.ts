import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Certification, StoredCertificate } from '../../src/certification/index.ts';
import { createOrganisations, type Unit } from '../../src/organisations/index.ts';
import {
  buildOcspRequest,
  buildTimeStampRequest,
  certIdOf,
  derToPem,
  distinguishedName,
  isSm2,
  judgeCrl,
  judgeOcspResponse,
  judgeTimeStamp,
  parseCrl,
  parseOcspResponse,
  parseTimeStampResponse,
  type Certificate,
} from '../../src/pki/index.ts';
import { folder, opensslSays } from '../pki/support.ts';
import { changed } from '../pki/tree.ts';
import { certificationOver, NOBODY, openRooms, type Rooms } from '../support/rooms.ts';
import { bouncyCastle } from '../support/validators.ts';

const signerId = 'distid:1234567812345678';
let rooms: Rooms;
let certification: Certification;
let unit: Unit;
let seal: StoredCertificate;
let revoked: StoredCertificate;
let issuing: Certificate;
let root: Certificate;

beforeAll(async () => {
  rooms = await openRooms();
  certification = certificationOver(rooms, { hierarchies: ['p-256', 'sm2'] });
  await rooms.db.transaction((tx) => certification.ensure(tx));
  const organisations = createOrganisations({ ...rooms, ...NOBODY });
  const organisation = await organisations.found(
    { unifiedSocialCreditCode: '91330106MADEMYXKJ3', name: '云栖示例' },
    'system',
  );
  unit = await organisations.createUnit(organisation, '行政部', 'system');
  [seal, revoked] = [await certify('云栖示例有限公司'), await certify('作废公章')];
  const [ca, anchor] = await certification.certificates.chainOf(seal.id);
  if (!ca || !anchor) throw new Error('no chain');
  [issuing, root] = [ca, anchor];
  await rooms.db.transaction((tx) =>
    certification.certificates.revoke(tx, {
      certificateId: revoked.id,
      reason: 'superseded',
      actor: 'system',
    }),
  );
  await certification.maintain();
});
afterAll(async () => {
  await certification.stop();
  await rooms.db.close();
});

function generate() {
  return rooms.db.transaction((tx) =>
    rooms.custody.generate(tx, { owner: unit.id, purpose: 'seal', actor: 'system', keyType: 'SM2' }),
  );
}

async function certify(sealName: string): Promise<StoredCertificate> {
  const key = await generate();
  return rooms.db.transaction((tx) =>
    certification.certificates.issueSealCertificate(tx, { unit, sealName, key, actor: 'system' }),
  );
}

async function listDer(): Promise<Buffer> {
  const list = await certification.lists.find(seal.issuerId ?? '');
  if (!list) throw new Error('no list');
  return Buffer.from(list.der);
}

test('an SM2 key is certified by SM2 authorities from top to bottom, and by no others', async () => {
  for (const { signatureAlgorithm, publicKey } of [seal.certificate, issuing, root]) {
    expect(signatureAlgorithm).toBe('sm2-with-SM3');
    expect(isSm2(publicKey)).toBe(true);
  }
  const without = certificationOver(rooms);
  const key = await generate();
  const refused = rooms.db.transaction((tx) =>
    without.certificates.issueSealCertificate(tx, { unit, sealName: '章', key, actor: 'system' }),
  );
  await expect(refused).rejects.toThrow(expect.objectContaining({ code: 'CERTIFIER_MISSING' }));
});

test('each link is verified by OpenSSL under the signer ID of the standard, and under no other', () => {
  const files = folder();
  const pem = (name: string, { der }: Certificate) => files.write(name, derToPem('CERTIFICATE', der));
  const at = String(Math.floor(rooms.clock.now().getTime() / 1000));
  const verify = (leaf: Certificate, issuer: Certificate, id = signerId) =>
    opensslSays(
      'verify',
      '-partial_chain',
      '-vfyopt',
      id,
      '-attime',
      at,
      '-trusted',
      pem('issuer.pem', issuer),
      pem('leaf.pem', leaf),
    );
  expect(verify(seal.certificate, issuing)).toContain('leaf.pem: OK');
  expect(verify(issuing, root)).toContain('leaf.pem: OK');
  expect(verify(seal.certificate, issuing, 'distid:8765432187654321')).toContain('signature failure');
});

test('a request of an SM2 key is verified by OpenSSL and BouncyCastle', async () => {
  const key = await generate();
  const subject = distinguishedName([{ countryName: 'CN' }, { commonName: '云栖示例有限公司' }]);
  const request = await certification.outside.request({ owner: unit.id, keyId: key.id, subject });
  const files = folder();
  const csr = files.write('r.pem', derToPem('CERTIFICATE REQUEST', request));
  expect(opensslSays('req', '-in', csr, '-noout', '-verify', '-vfyopt', signerId)).toContain('verify OK');
  const forged = changed(request, [0, 1, -1, 0, 1], (name) => (name.contents = Buffer.from('别的公章')));
  const [good, bad] = bouncyCastle([
    ['request', request],
    ['request', forged],
  ]);
  expect(good).toBe('valid C=CN,CN=云栖示例有限公司');
  expect(bad).toMatch(/^invalid/);
});

test('certificates, lists, answers and time-stamps of SM2 are accepted by BouncyCastle, and refused when changed', async () => {
  const crl = await listDer();
  const at = rooms.clock.now();
  expect(judgeCrl(parseCrl(crl), revoked.certificate, issuing, at).status).toBe('revoked');
  expect(judgeCrl(parseCrl(crl), seal.certificate, issuing, at).status).toBe('good');
  const answers = await Promise.all(
    [seal, revoked].map(async ({ certificate }) => {
      const request = buildOcspRequest([certIdOf('sm3', issuing, certificate.serialNumber)]);
      const { der } = await certification.ocsp.answer(request);
      const response = parseOcspResponse(der);
      if (response.responseStatus !== 'successful') throw new Error(response.responseStatus);
      const verdict = judgeOcspResponse(response.basic, certificate.serialNumber, { issuer: issuing, at });
      return { der, status: verdict.certStatus?.status };
    }),
  );
  expect(answers.map(({ status }) => status)).toEqual(['good', 'revoked']);
  const messageImprint = {
    hashAlgorithm: 'sm3',
    hashedMessage: createHash('sm3').update('文件').digest(),
  } as const;
  const query = buildTimeStampRequest({ ...messageImprint, certReq: true });
  const reply = await certification.timeStamping.answer(query, 'sm2');
  const token = reply && parseTimeStampResponse(reply).token;
  if (!reply || !token) throw new Error('no token');
  const { valid, tsaCertificate } = judgeTimeStamp(token, { messageImprint });
  expect(valid).toBe(true);
  if (!tsaCertificate) throw new Error('no certificate');
  const later = changed(crl, [0, 3], (time) => (time.contents = Buffer.from('261123080001Z')));
  const said = bouncyCastle([
    ['certificate', seal.certificate.der, issuing.der],
    ['certificate', seal.certificate.der, root.der],
    ['crl', crl, issuing.der, seal.certificate.der],
    ['crl', crl, issuing.der, revoked.certificate.der],
    ['crl', later, issuing.der, seal.certificate.der],
    ['ocsp', answers[0]?.der ?? ''],
    ['ocsp', answers[1]?.der ?? ''],
    ['timestamp', reply, tsaCertificate.der],
    ['timestamp', reply, issuing.der],
  ]);
  expect(said.map((line) => line.trim())).toEqual([
    'valid',
    'invalid',
    'valid good',
    'valid revoked',
    'invalid good',
    'valid good',
    'valid revoked',
    `valid ${rooms.clock.now().toISOString().replace('.000Z', 'Z')}`,
    expect.stringMatching(/^invalid/),
  ]);
});
