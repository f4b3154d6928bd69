import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Authority, Certification } from '../../src/certification/index.ts';
import { PROVIDER } from '../../src/custody/index.ts';
import { createOrganisations, type Unit } from '../../src/organisations/index.ts';
import {
  buildOcspRequest,
  buildTimeStampRequest,
  certIdOf,
  derToPem,
  judgeCrl,
  judgeOcspResponse,
  judgeTimeStamp,
  keyPurposes,
  parseCertificate,
  parseCrl,
  parseOcspResponse,
  parseTimeStampResponse,
  parseTimeStampToken,
  type Certificate,
} from '../../src/pki/index.ts';
import type { CertificateId } from '../../src/platform/ids.ts';
import { folder, openssl, opensslSays } from '../pki/support.ts';
import { certificationOver, NOBODY, openRooms, type Rooms } from '../support/rooms.ts';

let rooms: Rooms;
let certification: Certification;
let unit: Unit;

beforeAll(async () => {
  rooms = await openRooms();
  certification = certificationOver(rooms);
  await rooms.db.transaction((tx) => certification.ensure(tx));
  await certification.start();
  const organisations = createOrganisations({ ...rooms, ...NOBODY });
  const organisation = await organisations.found(
    { unifiedSocialCreditCode: '91330106MADEMYXKJ3', name: '云栖示例' },
    'system',
  );
  unit = await organisations.createUnit(organisation, '行政部', 'system');
});
afterAll(async () => {
  await certification.stop();
  await rooms.db.close();
});

async function issueSeal(name = '云栖示例有限公司') {
  return rooms.db.transaction(async (tx) => {
    const key = await rooms.custody.generate(tx, { owner: unit.id, purpose: 'seal', actor: 'system' });
    const { certificates } = certification;
    return certificates.issueSealCertificate(tx, { unit, sealName: name, key, actor: 'system' });
  });
}

function revoke(certificateId: string, reason = 'keyCompromise'): Promise<void> {
  return rooms.db.transaction((tx) =>
    certification.certificates.revoke(tx, { certificateId, reason, actor: 'system' }),
  );
}

async function authority(profile: Authority['profile']): Promise<Authority> {
  const found = (await certification.certificates.authorities()).find((each) => each.profile === profile);
  if (!found) throw new Error(`no ${profile}`);
  return found;
}

async function listOf(issuer: Authority): Promise<Buffer> {
  const list = await certification.lists.find(issuer.id);
  if (!list) throw new Error('no list');
  return Buffer.from(list.der);
}

/** What OpenSSL says of a certificate at the time of the tests, with the lists of both authorities. */
async function opensslVerify(leaf: Certificate): Promise<string> {
  const [root, issuing] = await Promise.all([authority('root'), authority('issuing')]);
  const lists = await Promise.all([listOf(root), listOf(issuing)]);
  const files = folder();
  const pem = (name: string, certificate: Certificate) =>
    files.write(name, derToPem('CERTIFICATE', certificate.der));
  return opensslSays(
    'verify',
    '-crl_check_all',
    '-x509_strict',
    '-policy_check',
    '-attime',
    seconds(),
    '-CAfile',
    pem('root.pem', root.certificate),
    '-untrusted',
    pem('ca.pem', issuing.certificate),
    '-CRLfile',
    files.write('crls.pem', lists.map((crl) => derToPem('X509 CRL', crl)).join('')),
    pem('leaf.pem', leaf),
  );
}

const seconds = () => String(Math.floor(rooms.clock.now().getTime() / 1000) + 1);

describe('the certificate of a seal', () => {
  test('follows the profile, as OpenSSL reads it', async () => {
    const { certificate } = await issueSeal();
    const [root, issuing] = await Promise.all([authority('root'), authority('issuing')]);
    const files = folder();
    const file = files.write('c', certificate.der);
    const text = openssl(
      'x509',
      '-inform',
      'DER',
      '-in',
      file,
      '-noout',
      '-text',
      '-nameopt',
      'RFC2253,utf8,-esc_msb',
    );
    for (const part of [
      'CN=云栖示例有限公司,OU=行政部,organizationIdentifier=NTRCN-91330106MADEMYXKJ3,O=云栖示例,C=CN',
      'X509v3 Key Usage: critical\n                Digital Signature, Non Repudiation',
      'Policy: 2.25.1',
      `URI:http://pki.example.cn/pki/crl/${issuing.id}.crl`,
      'OCSP - URI:http://pki.example.cn/pki/ocsp',
      `CA Issuers - URI:http://pki.example.cn/pki/ca/${issuing.id}.cer`,
      'X509v3 Subject Key Identifier',
      'X509v3 Authority Key Identifier',
    ])
      expect(text).toContain(part);
    expect(text).not.toContain('CA:TRUE');
    expect(await opensslVerify(certificate)).toContain('leaf.pem: OK');
    expect(root.certificate.extensions.cRLDistributionPoints).toBeUndefined();
    expect(issuing.certificate.extensions.basicConstraints).toEqual({ cA: true, pathLenConstraint: 0 });
  });

  test('does not outlive its issuer', async () => {
    const late = await openRooms();
    const other = certificationOver(late);
    await late.db.transaction((tx) => other.ensure(tx));
    const days = 86_400;
    late.clock.advance(3600 * days);
    const issuing = (await other.certificates.authorities()).find(({ profile }) => profile === 'issuing');
    const certificate = await late.db.transaction(async (tx) => {
      const key = await late.custody.generate(tx, { owner: unit.id, purpose: 'seal', actor: 'system' });
      const request = { unit, sealName: '章', key, actor: 'system' };
      return (await other.certificates.issueSealCertificate(tx, request)).certificate;
    });
    expect(certificate.notAfter).toEqual(issuing?.certificate.notAfter);
    await late.db.close();
  });
});

describe('revocation', () => {
  test('is on the list at once, with time and reason, and OpenSSL refuses the certificate', async () => {
    const seal = await issueSeal();
    const other = await issueSeal('别的公章');
    const issuing = await authority('issuing');
    const before = parseCrl(await listOf(issuing));
    rooms.clock.advance(10);
    await revoke(seal.id);
    await certification.maintain();
    const bytes = await listOf(issuing);
    const crl = parseCrl(bytes);
    expect(crl.cRLNumber?.readUIntBE(0, crl.cRLNumber.length)).toBe(
      (before.cRLNumber?.readUIntBE(0, before.cRLNumber.length) ?? 0) + 1,
    );
    const now = rooms.clock.now();
    expect(judgeCrl(crl, seal.certificate, issuing.certificate, now)).toMatchObject({
      status: 'revoked',
      entry: { reason: 'keyCompromise', revocationDate: new Date(Math.floor(now.getTime() / 1000) * 1000) },
    });
    expect(await opensslVerify(seal.certificate)).toContain('certificate revoked');
    expect(await opensslVerify(other.certificate)).toContain('leaf.pem: OK');
    expect((await certification.certificates.find(seal.id))?.revocation?.reason).toBe('keyCompromise');
    const [entry] = await rooms.audit.about(seal.id, { limit: 1 });
    expect(entry?.entry).toMatchObject({
      type: 'certificate.revoked',
      detail: { profile: 'seal', reason: 'keyCompromise' },
    });
  });

  test('succeeds once: of two at the same moment one is told that it came second', async () => {
    const { id } = await issueSeal();
    const outcomes = await Promise.allSettled([revoke(id), revoke(id, 'superseded')]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const entries = await rooms.audit.about(id, { limit: 10 });
    expect(entries.filter(({ entry }) => entry.type === 'certificate.revoked')).toHaveLength(1);
    await expect(revoke(id)).rejects.toThrow(expect.objectContaining({ code: 'CERTIFICATE_REVOKED' }));
  });

  test.each([
    ['CERTIFICATE_NOT_FOUND', async () => revoke('cert_00000000000000000000000000')],
    ['CERTIFICATE_NOT_FOUND', async () => revoke("' OR 1=1")],
    // A root is not revoked by itself: who trusts it has to be told otherwise.
    ['CERTIFICATE_NOT_FOUND', async () => revoke((await authority('root')).id)],
    ['REVOCATION_REASON', async () => revoke((await issueSeal()).id, 'certificateHold')],
    ['REVOCATION_REASON', async () => revoke((await issueSeal()).id, 'because')],
  ])('is refused with %s', async (code, act) => {
    await expect(act()).rejects.toThrow(expect.objectContaining({ code }));
  });
});

describe('a list', () => {
  test('is made anew by schedule, long before the last one ends, and not before', async () => {
    const issuing = await authority('issuing');
    const first = await listOf(issuing);
    rooms.clock.advance(23 * 3600);
    await certification.maintain();
    expect(await listOf(issuing)).toEqual(first);
    rooms.clock.advance(3601);
    await certification.maintain();
    const second = parseCrl(await listOf(issuing));
    expect(second.thisUpdate > parseCrl(first).thisUpdate).toBe(true);
    expect(rooms.clock.now() < (parseCrl(first).nextUpdate ?? new Date(0))).toBe(true);
  });

  test('is made by one of several processes at once, and its numbers only rise', async () => {
    const issuing = await authority('issuing');
    const numberOf = async () =>
      (parseCrl(await listOf(issuing)).cRLNumber ?? Buffer.alloc(0)).toString('hex');
    const before = Number.parseInt(await numberOf(), 16);
    await rooms.db.transaction((tx) => certification.lists.publishDue(tx));
    rooms.clock.advance(25 * 3600);
    const twin = certificationOver(rooms);
    await Promise.all([certification, twin, certification, twin].map(({ lists }) => lists.publishDue()));
    expect(Number.parseInt(await numberOf(), 16)).toBe(before + 1);
  });
});

describe('the OCSP responder', () => {
  async function ask(certificate: Certificate, nonce?: Buffer) {
    const issuing = await authority('issuing');
    const request = buildOcspRequest(
      [certIdOf('sha1', issuing.certificate, certificate.serialNumber)],
      nonce,
    );
    const answer = await certification.ocsp.answer(request);
    const response = parseOcspResponse(answer.der);
    if (response.responseStatus !== 'successful') throw new Error(response.responseStatus);
    const context = { issuer: issuing.certificate, at: rooms.clock.now(), nonce };
    return {
      answer,
      basic: response.basic,
      verdict: judgeOcspResponse(response.basic, certificate.serialNumber, context),
    };
  }

  test('answers with a key of its own, certified for days and for nothing else', async () => {
    const { certificate } = await issueSeal();
    const { basic, verdict } = await ask(certificate);
    expect(verdict).toEqual({ certStatus: { status: 'good' } });
    const [responder] = basic.certificates;
    const issuing = await authority('issuing');
    expect(responder?.publicKey.equals(issuing.certificate.publicKey)).toBe(false);
    expect(responder?.extensions).toMatchObject({
      extKeyUsage: { keyPurposeIds: [keyPurposes.OCSPSigning] },
      ocspNoCheck: true,
    });
    const days = (Number(responder?.notAfter) - Number(responder?.notBefore)) / 86_400_000;
    expect(days).toBe(7);
    expect('byKey' in basic.responderId).toBe(true);
  });

  test('gives a ready answer while it holds, a new one for a nonce, and none of that after a revocation', async () => {
    const seal = await issueSeal();
    const first = await ask(seal.certificate);
    expect((await ask(seal.certificate)).answer.der).toBe(first.answer.der);
    const nonce = randomBytes(32);
    const fresh = await ask(seal.certificate, nonce);
    expect(fresh.verdict).toEqual({ certStatus: { status: 'good' } });
    expect(fresh.basic.nonce).toEqual(nonce);
    expect(fresh.answer.reusable).toBeUndefined();
    rooms.clock.advance(1801);
    expect((await ask(seal.certificate)).answer.der).not.toBe(first.answer.der);
    await revoke(seal.id, 'cessationOfOperation');
    for (const sent of [undefined, nonce])
      expect((await ask(seal.certificate, sent)).verdict).toMatchObject({
        certStatus: { status: 'revoked', revocationReason: 'cessationOfOperation' },
      });
  });

  test('hears of revocations by other processes', async () => {
    const seal = await issueSeal();
    expect((await ask(seal.certificate)).verdict.certStatus?.status).toBe('good');
    const twin = certificationOver(rooms);
    await rooms.db.transaction((tx) =>
      twin.certificates.revoke(tx, { certificateId: seal.id, reason: 'superseded', actor: 'system' }),
    );
    await expect.poll(async () => (await ask(seal.certificate)).verdict.certStatus?.status).toBe('revoked');
    await twin.stop();
  });

  test('says unknown of numbers that were never given out, and nothing of other issuers', async () => {
    const { certificate } = await issueSeal();
    const stranger = { ...certificate, serialNumber: Buffer.from('7f00112233445566778899aabbccddee', 'hex') };
    expect((await ask(stranger)).verdict).toEqual({ certStatus: { status: 'unknown' } });
    const foreign = buildOcspRequest([certIdOf('sha256', certificate, certificate.serialNumber)]);
    const { der } = await certification.ocsp.answer(foreign);
    expect(parseOcspResponse(der).responseStatus).toBe('unauthorized');
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['garbage', Buffer.from('GET / HTTP/1.1')],
    ['a very long request', Buffer.alloc(100_000, 0x30)],
  ])('calls %s malformed', async (_, request) => {
    const { der, reusable } = await certification.ocsp.answer(request);
    expect(parseOcspResponse(der)).toEqual({ responseStatus: 'malformedRequest' });
    expect(reusable).toBeUndefined();
  });

  test('has its certificate and key renewed before they end', async () => {
    const { certificate } = await issueSeal();
    const [first] = (await ask(certificate)).basic.certificates;
    rooms.clock.advance(5 * 86_400);
    await certification.maintain();
    const { basic, verdict } = await ask(certificate);
    expect(verdict.certStatus?.status).toBe('good');
    expect(basic.certificates[0]?.publicKey.equals(first?.publicKey ?? certificate.publicKey)).toBe(false);
    await certification.maintain();
    expect((await ask(certificate, randomBytes(16))).basic.certificates[0]?.der).toEqual(
      basic.certificates[0]?.der,
    );
  });
});

describe('the time-stamping authority', () => {
  const hashedMessage = createHash('sha256').update('文件').digest();
  const messageImprint = { hashAlgorithm: 'sha256', hashedMessage } as const;
  const query = (wishes: Partial<Parameters<typeof buildTimeStampRequest>[0]> = {}) =>
    buildTimeStampRequest({ ...messageImprint, certReq: true, ...wishes });
  const answer = async (request: Uint8Array) => {
    const response = await certification.timeStamping.answer(request);
    if (!response) throw new Error('no answer');
    return response;
  };

  test('stamps with its own key, the time of the clock, and a serial number never used before', async () => {
    const nonce = Buffer.from('1122', 'hex');
    const tokens = await Promise.all(
      Array.from({ length: 50 }, async () => parseTimeStampResponse(await answer(query({ nonce }))).token),
    );
    const [token] = tokens;
    if (!token) throw new Error('no token');
    expect(judgeTimeStamp(token, { messageImprint, nonce }).valid).toBe(true);
    expect(token.tstInfo).toMatchObject({
      policy: '2.25.2',
      genTime: rooms.clock.now(),
      accuracy: { seconds: 1, millis: 0, micros: 0 },
    });
    expect(new Set(tokens.map((each) => each?.tstInfo.serialNumber.toString('hex'))).size).toBe(50);
    expect(token.signed.certificates).toHaveLength(2);
  });

  test('is taken by openssl ts, with our root, and not for another file', async () => {
    const files = folder();
    const data = files.write('data', '文件');
    openssl('ts', '-query', '-data', data, '-sha512', '-cert', '-out', files.path('q'));
    const reply = files.write('r', await answer(files.read('q')));
    const root = derToPem('CERTIFICATE', (await authority('root')).certificate.der);
    const trust = ['-CAfile', files.write('root.pem', root), '-attime', seconds()];
    expect(opensslSays('ts', '-verify', '-in', reply, '-queryfile', files.path('q'), ...trust)).toContain(
      'Verification: OK',
    );
    const other = files.write('other', '别的');
    expect(opensslSays('ts', '-verify', '-in', reply, '-data', other, ...trust)).toContain(
      'Verification: FAILED',
    );
  });

  test('stamps for our own use, and takes SM3', async () => {
    const imprint = { hashAlgorithm: 'sm3', hashedMessage: createHash('sm3').update('x').digest() } as const;
    const token = parseTimeStampToken(await certification.timeStamping.stamp(imprint));
    expect(judgeTimeStamp(token, { messageImprint: imprint }).valid).toBe(true);
  });

  test.each([
    [
      'badAlg',
      () =>
        Buffer.from('301b020101301630090605 2b0e03021a050004 0900112233445566 7788'.replace(/ /g, ''), 'hex'),
    ],
    ['badDataFormat', () => query({ hashedMessage: Buffer.alloc(20) })],
    ['badDataFormat', () => Buffer.from('garbage')],
    ['unacceptedPolicy', () => query({ reqPolicy: '1.2.3' })],
    [
      'unacceptedExtension',
      () => {
        const extensions = Buffer.from('a00b300906032a03040402 0500'.replace(/ /g, ''), 'hex');
        const body = Buffer.concat([query().subarray(2), extensions]);
        return Buffer.concat([Buffer.of(0x30, body.length), body]);
      },
    ],
  ] as const)('refuses with %s, as RFC 3161 names it', async (failure, request) => {
    expect(parseTimeStampResponse(await answer(request()))).toMatchObject({
      status: 'rejection',
      failInfo: [failure],
      token: undefined,
    });
  });

  test('refuses while the clock stands before a time that it has given', async () => {
    await answer(query());
    rooms.clock.advance(-5);
    expect(parseTimeStampResponse(await answer(query())).failInfo).toEqual(['timeNotAvailable']);
    rooms.clock.advance(5);
    expect(parseTimeStampResponse(await answer(query())).status).toBe('granted');
  });

  test('has no answer for a hierarchy that is not there', async () => {
    expect(await certification.timeStamping.answer(query(), 'rsa')).toBeUndefined();
  });
});

describe('a second hierarchy', () => {
  test('of RSA keys has authorities, lists and services of its own, and certifies the keys of its kind', async () => {
    const both = certificationOver(rooms, { hierarchies: ['p-256', 'rsa'] });
    await rooms.db.transaction((tx) => both.ensure(tx));
    const all = await both.certificates.authorities();
    expect(all.map(({ hierarchy, profile }) => `${hierarchy} ${profile}`).toSorted()).toEqual([
      'p-256 issuing',
      'p-256 root',
      'rsa issuing',
      'rsa root',
    ]);
    const certify = (keyType: 'P-256' | 'RSA-3072') =>
      rooms.db.transaction(async (tx) => {
        const key = await rooms.custody.generate(tx, {
          owner: unit.id,
          purpose: 'seal',
          actor: 'system',
          keyType,
        });
        return both.certificates.issueSealCertificate(tx, { unit, sealName: keyType, key, actor: 'system' });
      });
    const [ec, rsa] = [await certify('P-256'), await certify('RSA-3072')];
    expect([ec.certificate.signatureAlgorithm, rsa.certificate.signatureAlgorithm]).toEqual([
      'ecdsa-with-SHA256',
      'sha256WithRSAEncryption',
    ]);
    const chain = await both.certificates.chainOf(rsa.id);
    expect(chain.map(({ subject }) => subject.rfc4514)).toEqual([
      'CN=Yinxin RSA Seal CA,O=Yinxin',
      'CN=Yinxin RSA Root CA,O=Yinxin',
    ]);
    const token = parseTimeStampToken(
      await both.timeStamping.stamp({ hashAlgorithm: 'sha256', hashedMessage: Buffer.alloc(32) }, 'rsa'),
    );
    expect(token.signed.signerInfo.signatureAlgorithm).toBe('sha256WithRSAEncryption');
    const request = buildOcspRequest([
      certIdOf(
        'sha256',
        {
          ...rsa.certificate,
          subject: rsa.certificate.issuer,
          publicKey: chain[0]?.publicKey ?? rsa.certificate.publicKey,
        },
        rsa.certificate.serialNumber,
      ),
    ]);
    const response = parseOcspResponse((await both.ocsp.answer(request)).der);
    expect(response).toMatchObject({ basic: { signatureAlgorithm: 'sha256WithRSAEncryption' } });
    await both.stop();
  });
});

test('what no other process has made is made once, and a second start makes nothing', async () => {
  const count = async () => (await rooms.db.query('SELECT id FROM certificates')).length;
  const before = await count();
  const again = certificationOver(rooms);
  await rooms.db.transaction((tx) => again.ensure(tx));
  await again.maintain();
  expect(await count()).toBe(before);
  const keys = await rooms.custody.active(PROVIDER, 'ocsp');
  expect(keys).toBeDefined();
});

test('certificates that were made before there were serial numbers in the table keep theirs', async () => {
  const rows = await rooms.db.query<{ id: CertificateId; der: Uint8Array; serial_number: Uint8Array }>(
    'SELECT id, der, serial_number FROM certificates',
  );
  // The expression of migration 040.
  const read = await rooms.db.query<{ id: CertificateId; serial: Uint8Array }>(
    `SELECT number.id, substring(number.der FROM number.start + 3 FOR get_byte(number.der, number.start + 1)) AS serial
       FROM (SELECT id, der, inner_start + (CASE get_byte(der, inner_start + 1) WHEN 129 THEN 3 WHEN 130 THEN 4 ELSE 2 END) + 5 AS start
               FROM (SELECT id, der, CASE get_byte(der, 1) WHEN 129 THEN 3 WHEN 130 THEN 4 ELSE 2 END AS inner_start
                       FROM certificates) outermost) number`,
  );
  for (const { id, der, serial_number: serial } of rows) {
    const expected = parseCertificate(der).serialNumber;
    expect(Buffer.from(serial)).toEqual(expected);
    expect(Buffer.from(read.find((each) => each.id === id)?.serial ?? [])).toEqual(expected);
  }
});
