import { describe, expect, test } from 'vitest';
import {
  buildPath,
  derToPem,
  parseCertificate,
  type Certificate,
  type PathFailureReason,
  type PathResult,
} from '../../src/pki/index.ts';
import { during, folder, generateKey, issue, issueCa, issueSeal, openssl, type Holder } from './support.ts';
import { changed } from './tree.ts';

const root = await issueCa('根');
const ca = await issueCa('签发', { issuer: root });
const seal = await issueSeal('公章', { issuer: ca });

function find(leaf: Holder, intermediates: Holder[], roots: Holder[], at = during): PathResult {
  const certificates = (holders: Holder[]) => holders.map(({ certificate }) => certificate);
  return buildPath(leaf.certificate, certificates(intermediates), certificates(roots), at);
}

/** The first reason, and the name of the certificate at fault. */
function reasonOf(result: PathResult): [PathFailureReason, string] | 'ok' {
  if (result.ok) return 'ok';
  const [{ reason, certificate }] = result.failures;
  return [reason, certificate.subject.rdns.at(-1)?.commonName ?? ''];
}

/** OpenSSL's opinion of the same chain. */
function opensslAccepts(leaf: Holder, intermediates: Holder[], roots: Holder[], at = during): boolean {
  const files = folder();
  const pem = (name: string, holders: Holder[]) =>
    files.write(name, holders.map(({ certificate }) => derToPem('CERTIFICATE', certificate.der)).join(''));
  const untrusted = intermediates.length > 0 ? ['-untrusted', pem('untrusted', intermediates)] : [];
  const time = String(Math.floor(at.getTime() / 1000));
  try {
    openssl('verify', '-attime', time, '-CAfile', pem('roots', roots), ...untrusted, pem('leaf', [leaf]));
    return true;
  } catch {
    return false;
  }
}

describe('a path', () => {
  test('goes from the leaf to the root, both included', () => {
    const result = find(seal, [ca], [root]);
    expect(result).toEqual({ ok: true, path: [seal.certificate, ca.certificate, root.certificate] });
    expect(opensslAccepts(seal, [ca], [root])).toBe(true);
  });

  test('may be the leaf alone, when it was trusted beforehand', () => {
    expect(find(root, [], [root])).toEqual({ ok: true, path: [root.certificate] });
  });

  test('holds through the whole of the last second of notAfter, and from the first of notBefore', () => {
    const { notBefore, notAfter } = seal.certificate;
    const at = (date: Date, ms: number) => reasonOf(find(seal, [ca], [root], new Date(date.getTime() + ms)));
    expect(at(notBefore, 0)).toBe('ok');
    expect(at(notAfter, 999)).toBe('ok');
    expect(at(notBefore, -1)).toEqual(['NOT_YET_VALID', '公章']);
    expect(at(notAfter, 1000)).toEqual(['EXPIRED', '公章']);
  });

  test('is not looked for at a time that is none', () => {
    expect(() => find(seal, [ca], [root], new Date(Number.NaN))).toThrow(TypeError);
  });

  test('may mix algorithms', async () => {
    const rsaRoot = await issueCa('根', { algorithm: 'sha384WithRSAEncryption' });
    const p384 = await issueCa('签发', {
      algorithm: 'ecdsa-with-SHA384',
      namedCurve: 'P-384',
      issuer: rsaRoot,
    });
    const leaf = await issueSeal('公章', { issuer: p384 });
    expect(find(leaf, [p384], [rsaRoot]).ok).toBe(true);
  });

  test('is found among CAs of the same name by the key identifier, and without one by trying', async () => {
    const impostors = await Promise.all([1, 2, 3].map(() => issueCa('签发', { issuer: root })));
    const flood = Array.from({ length: 30 }, () => impostors).flat();
    expect(find(seal, [...flood, ca], [root]).ok).toBe(true);
    const bare = await issueSeal('无标识', { issuer: ca, extensions: { authorityKeyIdentifier: undefined } });
    expect(find(bare, [...impostors, ca], [root]).ok).toBe(true);
  });

  test('takes a wrong key identifier for a hint and no more', async () => {
    const misled = await issueSeal('误导', {
      issuer: ca,
      extensions: { authorityKeyIdentifier: Buffer.alloc(20) },
    });
    expect(find(misled, [ca], [root]).ok).toBe(true);
  });

  test('is found through either of two CAs that certify each other', async () => {
    const other = await issueCa('另一根');
    const cross = await issueCa('根', { privateKey: root.privateKey, issuer: other });
    const back = await issueCa('另一根', { privateKey: other.privateKey, issuer: root });
    expect(find(seal, [back, cross, ca], [other])).toMatchObject({
      ok: true,
      path: [seal, ca, cross, other].map(({ certificate }) => certificate),
    });
    const stranger = await issueCa('外人');
    expect(reasonOf(find(seal, [back, cross, ca], [stranger]))).toEqual(['ISSUER_NOT_FOUND', '另一根']);
  });

  test('does not count a CA certificate for itself against pathLenConstraint (RFC 5280 6.1.4 (l))', async () => {
    const top = await issueCa('顶', { pathLen: 1 });
    const old = await issueCa('中', { issuer: top, pathLen: 0 });
    const renewed = await issueCa('中', { issuer: old, pathLen: 0 });
    const leaf = await issueSeal('公章', { issuer: renewed });
    expect(find(leaf, [old, renewed], [top]).ok).toBe(true);
    expect(opensslAccepts(leaf, [old, renewed], [top])).toBe(true);
  });
});

describe('no path', async () => {
  const p0 = await issueCa('零', { issuer: root, pathLen: 0 });
  const below = await issueCa('零下', { issuer: p0 });
  const notCa = await issue('非CA', { issuer: root, extensions: { keyUsage: ['digitalSignature'] } });
  const saysNotCa = await issue('自称非CA', {
    issuer: root,
    extensions: { basicConstraints: { cA: false } },
  });
  const noUsage = await issueCa('不签证书', { issuer: root, extensions: { keyUsage: ['cRLSign'] } });
  const expired = await issueCa('过期', {
    issuer: root,
    template: { notAfter: new Date('2026-02-01T00:00:00Z') },
  });
  const future = await issueCa('未来', {
    issuer: root,
    template: { notBefore: new Date('2027-01-01T00:00:00Z') },
  });
  const shortRoot = await issueCa('短根', { template: { notAfter: new Date('2026-02-01T00:00:00Z') } });
  const forgedCa = await issueCa('签发');
  const weak = await issueCa('弱', { issuer: root });

  const leafOf = (issuer: Holder) => issueSeal('印', { issuer });
  test.each<[string, Holder, Holder[], Holder[], PathFailureReason, string]>([
    ['without the intermediate', seal, [], [root], 'ISSUER_NOT_FOUND', '公章'],
    ['without the root', seal, [ca], [], 'ISSUER_NOT_FOUND', '签发'],
    ['for a certificate that signed itself', forgedCa, [forgedCa], [root], 'ISSUER_NOT_FOUND', '签发'],
    [
      'through an intermediate of the same name and another key',
      seal,
      [forgedCa],
      [root],
      'SIGNATURE_INVALID',
      '公章',
    ],
    [
      'to a root of the same name and another key',
      seal,
      [ca],
      [await issueCa('根')],
      'SIGNATURE_INVALID',
      '签发',
    ],
    [
      'through an intermediate that has no basicConstraints',
      await leafOf(notCa),
      [notCa],
      [root],
      'NOT_A_CA',
      '非CA',
    ],
    [
      'through an intermediate that says it is no CA',
      await leafOf(saysNotCa),
      [saysNotCa],
      [root],
      'NOT_A_CA',
      '自称非CA',
    ],
    ['through another seal', await leafOf(seal), [seal, ca], [root], 'NOT_A_CA', '公章'],
    [
      'through a CA without keyCertSign',
      await leafOf(noUsage),
      [noUsage],
      [root],
      'KEY_CERT_SIGN_MISSING',
      '不签证书',
    ],
    [
      'through a CA more than pathLenConstraint allows',
      await leafOf(below),
      [below, p0],
      [root],
      'PATH_LEN_EXCEEDED',
      '零',
    ],
    ['through an expired intermediate', await leafOf(expired), [expired], [root], 'EXPIRED', '过期'],
    [
      'through an intermediate of the future',
      await leafOf(future),
      [future],
      [root],
      'NOT_YET_VALID',
      '未来',
    ],
    ['to an expired root', await leafOf(shortRoot), [], [shortRoot], 'EXPIRED', '短根'],
  ])('%s', (_, leaf, intermediates, roots, reason, atFault) => {
    expect(reasonOf(find(leaf, intermediates, roots))).toEqual([reason, atFault]);
    expect(opensslAccepts(leaf, intermediates, roots)).toBe(false);
  });

  test('but every attempt that failed, the one that came farthest first', async () => {
    const bare = await issueSeal('无标识', { issuer: ca, extensions: { authorityKeyIdentifier: undefined } });
    const result = find(bare, [forgedCa, ca], []);
    expect(result.ok ? [] : result.failures.map(({ reason, depth }) => [reason, depth])).toEqual([
      ['ISSUER_NOT_FOUND', 2],
      ['SIGNATURE_INVALID', 1],
    ]);
  });

  test('for the same chain at a time when the intermediate was valid, there is one', async () => {
    expect(find(await leafOf(expired), [expired], [root], new Date('2026-01-15')).ok).toBe(true);
  });

  test('for a certificate with one octet changed', () => {
    const tampered = changed(seal.certificate.der, [0, 1], (node) => {
      node.contents = Buffer.from(node.contents ?? []);
      node.contents[5] = (node.contents[5] ?? 0) ^ 1;
    });
    expect(reasonOf(check(parseCertificate(tampered)))).toEqual(['SIGNATURE_INVALID', '公章']);
  });

  test('for a leaf with a critical extension that is unknown', async () => {
    const files = folder();
    const pem = (name: string, { certificate }: Holder) =>
      files.write(name, derToPem('CERTIFICATE', certificate.der));
    const key = files.write('ca.key', ca.privateKey.export({ format: 'pem', type: 'pkcs8' }));
    const newKey = files.write(
      'new.key',
      generateKey('ecdsa-with-SHA256').export({ format: 'pem', type: 'pkcs8' }),
    );
    openssl('req', '-new', '-key', newKey, '-subj', '/CN=critical', '-out', files.path('r.pem'));
    files.write('ext', '1.2.3.4=critical,ASN1:NULL\n');
    openssl(
      'x509',
      '-req',
      '-in',
      files.path('r.pem'),
      '-CA',
      pem('ca.pem', ca),
      '-CAkey',
      key,
      '-days',
      '10000',
      '-set_serial',
      '7',
      '-extfile',
      files.path('ext'),
      '-outform',
      'DER',
      '-out',
      files.path('c.der'),
    );
    const leaf = parseCertificate(files.read('c.der'));
    const later = new Date('2030-01-01');
    expect(buildPath(leaf, [ca.certificate], [root.certificate], later)).toMatchObject({
      ok: false,
      failures: [{ reason: 'CRITICAL_EXTENSION_UNKNOWN', certificate: leaf, depth: 0 }],
    });
  });

  test('through a key or algorithm that is not accepted', async () => {
    // Signed by an ECDSA key under the name of an RSA algorithm: never computed, whatever the key would say.
    const confused = await issueSeal('印', { issuer: weak });
    const rsaName = Buffer.from('2a864886f70d01010b', 'hex');
    const forge = changed(
      changed(confused.certificate.der, [1, 0], (node) => (node.contents = rsaName)),
      [0, 2, 0],
      (node) => (node.contents = rsaName),
    );
    const leaf = parseCertificate(forge);
    const result = buildPath(leaf, [weak.certificate], [root.certificate], during);
    expect(reasonOf(result)[0]).toBe('ALGORITHM_UNSUPPORTED');
  });

  test('longer than eight certificates', async () => {
    const chain = [await issueCa('长0')];
    for (let index = 1; index < 8; index++)
      chain.push(await issueCa(`长${index}`, { issuer: chain.at(-1) as Holder }));
    const eighth = chain.slice(0, 7);
    expect(find(chain[7] as Holder, eighth.slice(1), [chain[0] as Holder]).ok).toBe(true);
    const tooLong = await issueSeal('印', { issuer: chain[7] as Holder });
    expect(reasonOf(find(tooLong, chain.slice(1), [chain[0] as Holder]))[0]).toBe('SEARCH_LIMIT');
  });

  test('in a web of CAs that all certify each other, quickly', async () => {
    const names = ['甲', '乙', '丙', '丁', '戊', '己', '庚', '辛'];
    const keys = new Map(names.map((name) => [name, generateKey('ecdsa-with-SHA256')]));
    const web: Holder[] = [];
    for (const issuer of names) {
      const holder = await issueCa(issuer, { privateKey: keys.get(issuer) as Holder['privateKey'] });
      for (const subject of names.filter((name) => name !== issuer)) {
        const privateKey = keys.get(subject) as Holder['privateKey'];
        web.push(await issueCa(subject, { privateKey, issuer: holder }));
      }
    }
    const leaf = await issueSeal('印', { issuer: web[0] as Holder });
    const start = performance.now();
    const result = find(leaf, web, [root]);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(result.ok).toBe(false);
    expect(result.ok ? [] : result.failures.map(({ reason }) => reason)).toContain('SEARCH_LIMIT');
  });

  function check(leaf: Certificate): PathResult {
    return buildPath(leaf, [ca.certificate], [root.certificate], during);
  }
});
