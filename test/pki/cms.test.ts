import { createHash } from 'node:crypto';
import * as pkijs from 'pkijs';
import { describe, expect, test } from 'vitest';
import {
  algorithmOf,
  der,
  derToPem,
  parseSignedData,
  signedAttributes,
  signedData,
  verifySignerInfo,
  withoutZeroPadding,
  type SignatureAlgorithm,
} from '../../src/pki/index.ts';
import { expectCode, folder, issueCa, issueSeal, openssl, privateKeyPem, type Holder } from './support.ts';
import { at, changed, toDer, toTree } from './tree.ts';

const content = Buffer.from('兹证明……\r\n特此函告。');

const algorithms: [SignatureAlgorithm, string][] = [
  ['ecdsa-with-SHA256', 'P-256'],
  ['ecdsa-with-SHA384', 'P-384'],
  ['ecdsa-with-SHA512', 'P-521'],
  ['sha256WithRSAEncryption', ''],
  ['sha384WithRSAEncryption', ''],
];

interface Chain {
  readonly root: Holder;
  readonly ca: Holder;
  readonly seal: Holder;
}

async function chainOf(algorithm: SignatureAlgorithm, namedCurve: string): Promise<Chain> {
  const root = await issueCa('根', { algorithm, namedCurve });
  const ca = await issueCa('签发', { algorithm, namedCurve, issuer: root });
  return { root, ca, seal: await issueSeal('公章', { algorithm, namedCurve, issuer: ca }) };
}

function digestOf(algorithm: SignatureAlgorithm): Buffer {
  return createHash(algorithmOf(algorithm).digest).update(content).digest();
}

async function sign(
  { ca, seal }: Chain,
  more: { signingTime?: Date; contentType?: string; encapsulatedContent?: Uint8Array } = {},
): Promise<Buffer> {
  const { algorithm } = seal.signer;
  const attributes = signedAttributes({
    messageDigest: digestOf(algorithm),
    signerCertificate: seal.certificate,
    signingTime: more.signingTime,
    contentType: more.contentType,
  });
  return signedData({
    signedAttributes: attributes,
    signature: await seal.signer.sign(attributes),
    algorithm,
    signerCertificate: seal.certificate,
    certificates: [ca.certificate],
    encapsulatedContent: more.encapsulatedContent,
  });
}

describe.each(algorithms)('CAdES B-B under %s %s', async (algorithm, namedCurve) => {
  const chain = await chainOf(algorithm, namedCurve);

  test('detached: openssl cms -verify -cades accepts it, and refuses another content', async () => {
    const files = folder();
    const sig = files.write('sig', await sign(chain));
    const root = files.write('root.pem', derToPem('CERTIFICATE', chain.root.certificate.der));
    const verify = (data: string) =>
      openssl(
        'cms',
        '-verify',
        '-cades',
        '-binary',
        '-inform',
        'DER',
        '-in',
        sig,
        '-content',
        data,
        '-CAfile',
        root,
        '-out',
        files.path('out'),
      );
    verify(files.write('content', content));
    expect(files.read('out')).toEqual(content);
    expect(() => verify(files.write('other', '兹证明'))).toThrow(/digest|verif/i);
  });

  test('with its content inside: openssl cms gives the content back', async () => {
    const files = folder();
    const sig = files.write(
      'sig',
      await sign(chain, { encapsulatedContent: content, signingTime: new Date('2026-05-01') }),
    );
    const root = files.write('root.pem', derToPem('CERTIFICATE', chain.root.certificate.der));
    openssl(
      'cms',
      '-verify',
      '-cades',
      '-binary',
      '-inform',
      'DER',
      '-in',
      sig,
      '-CAfile',
      root,
      '-out',
      files.path('out'),
    );
    expect(files.read('out')).toEqual(content);
  });

  test('pkijs verifies it', async () => {
    const info = pkijs.ContentInfo.fromBER(await sign(chain, { encapsulatedContent: content }));
    const oracle = new pkijs.SignedData({ schema: info.content });
    expect(await oracle.verify({ signer: 0, checkChain: false })).toBe(true);
  });

  test('we verify it: every check by itself', async () => {
    const signed = parseSignedData(await sign(chain));
    expect(verifySignerInfo(signed, digestOf(algorithm))).toEqual({
      signerCertificate: chain.seal.certificate,
      messageDigest: true,
      contentType: true,
      signingCertificate: true,
      algorithms: true,
      signature: true,
      valid: true,
    });
  });

  test.each(['-cades', '-keyid'])('what openssl cms -sign %s made is read and judged', (flag) => {
    const files = folder();
    const pem = files.write('seal.pem', derToPem('CERTIFICATE', chain.seal.certificate.der));
    const key = files.write('key.pem', privateKeyPem(chain.seal));
    const data = files.write('content', content);
    const { digest } = algorithmOf(algorithm);
    openssl(
      'cms',
      '-sign',
      '-binary',
      flag,
      '-md',
      digest,
      '-signer',
      pem,
      '-inkey',
      key,
      '-in',
      data,
      '-outform',
      'DER',
      '-out',
      files.path('sig'),
    );
    const signed = parseSignedData(files.read('sig'));
    expect(signed.signerInfo.signedAttributes.signingTime).toBeInstanceOf(Date);
    const isCades = flag === '-cades';
    expect('subjectKeyIdentifier' in signed.signerInfo.sid).toBe(!isCades);
    expect(verifySignerInfo(signed, digestOf(algorithm))).toMatchObject({
      messageDigest: true,
      contentType: true,
      signingCertificate: isCades,
      algorithms: true,
      signature: true,
      valid: isCades,
    });
  });
});

describe('the octets', async () => {
  const chain = await chainOf('ecdsa-with-SHA256', 'P-256');
  const messageDigest = digestOf('ecdsa-with-SHA256');

  test('of the signed attributes are contentType, messageDigest and signingCertificateV2, sorted, without signingTime (ETSI EN 319 142-1 6.3)', () => {
    const { certificate } = chain.seal;
    const octets = signedAttributes({ messageDigest, signerCertificate: certificate });
    const attribute = (oid: string, value: Buffer) =>
      der.sequence(der.objectIdentifier(oid), der.setOf([value]));
    const issuer = der.sequence(der.element(0xa4, certificate.issuer.der));
    const serial = der.element(0x02, certificate.serialNumber);
    const certHash = createHash('sha256').update(certificate.der).digest();
    const essCertIdV2 = der.sequence(der.octetString(certHash), der.sequence(issuer, serial));
    expect(octets).toEqual(
      der.element(
        0x31,
        attribute('1.2.840.113549.1.9.3', der.objectIdentifier('1.2.840.113549.1.7.1')),
        attribute('1.2.840.113549.1.9.4', der.octetString(messageDigest)),
        attribute('1.2.840.113549.1.9.16.2.47', der.sequence(der.sequence(essCertIdV2))),
      ),
    );
  });

  test('carry signingTime when it is given', () => {
    const signingTime = new Date('2026-05-01T08:09:10Z');
    const octets = signedAttributes({
      messageDigest,
      signerCertificate: chain.seal.certificate,
      signingTime,
    });
    expect(octets.toString('latin1')).toContain('260501080910Z');
  });

  test('have version 1 for data and 3 for other content, and are the same every time', async () => {
    const versionOf = (message: Buffer) => at(toTree(message), 1, 0, 0).contents?.[0];
    expect(versionOf(await sign(chain))).toBe(1);
    const tstInfo = await sign(chain, {
      contentType: '1.2.840.113549.1.9.16.1.4',
      encapsulatedContent: content,
    });
    expect(versionOf(tstInfo)).toBe(3);
    const signed = parseSignedData(tstInfo);
    expect(signed).toMatchObject({ eContentType: '1.2.840.113549.1.9.16.1.4', encapsulatedContent: content });
    expect(verifySignerInfo(signed, messageDigest).valid).toBe(true);
  });

  test('hold each certificate once', async () => {
    const attributes = signedAttributes({ messageDigest, signerCertificate: chain.seal.certificate });
    const message = signedData({
      signedAttributes: attributes,
      signature: await chain.seal.signer.sign(attributes),
      algorithm: 'ecdsa-with-SHA256',
      signerCertificate: chain.seal.certificate,
      certificates: [chain.ca.certificate, chain.seal.certificate, chain.ca.certificate],
    });
    expect(parseSignedData(message).certificates).toHaveLength(2);
  });

  test('may stand in a zero-padded field, which has to be said', async () => {
    const message = await sign(chain);
    const padded = Buffer.concat([message, Buffer.alloc(1000)]);
    expectCode(() => parseSignedData(padded), 'DER_TRAILING');
    expect(parseSignedData(withoutZeroPadding(padded))).toEqual(parseSignedData(message));
  });
});

describe('reading', async () => {
  const chain = await chainOf('ecdsa-with-SHA256', 'P-256');
  const message = await sign(chain, { encapsulatedContent: content });
  /** Where SignedData and its SignerInfo stand. */
  const data = [1, 0];
  const signerInfo = [...data, 4, 0];
  const attributes = [...signerInfo, 3];

  test('gives unsigned attributes as they are, one type several times too', () => {
    const token = toTree(der.sequence(der.integer(1)));
    const type = toTree(der.objectIdentifier('1.2.840.113549.1.9.16.2.14'));
    const attribute = { tag: 0x30, children: [type, { tag: 0x31, children: [token] }] };
    const stamped = changed(message, signerInfo, (node) =>
      node.children?.push({ tag: 0xa1, children: [attribute, attribute] }),
    );
    const signed = parseSignedData(stamped);
    const expected = { type: '1.2.840.113549.1.9.16.2.14', values: [toDer(token)] };
    expect(signed.signerInfo.unsignedAttributes).toEqual([expected, expected]);
    expect(verifySignerInfo(signed, digestOf('ecdsa-with-SHA256')).valid).toBe(true);
  });

  test('passes over revocation lists, and takes a digest with NULL parameters', () => {
    const other = changed(message, data, (node) =>
      node.children?.splice(4, 0, { tag: 0xa1, children: [toTree(der.sequence())] }),
    );
    const withNull = changed(other, [...data, 1, 0], (node) => node.children?.push(toTree(der.nullValue())));
    expect(verifySignerInfo(parseSignedData(withNull), digestOf('ecdsa-with-SHA256')).valid).toBe(true);
  });

  const double = (path: readonly number[]) =>
    changed(message, path, (node) => node.children?.push(at(node, 0)));
  const put = (path: readonly number[], value: Buffer) =>
    changed(message, path, (node) => Object.assign(node, toTree(value)));
  test.each<[string, () => Buffer, string]>([
    [
      'a message that is no SignedData',
      () => put([0], der.objectIdentifier('1.2.840.113549.1.7.1')),
      'CMS_CONTENT_TYPE',
    ],
    ['an unknown version', () => put([...data, 0], der.integer(2)), 'CMS_VERSION'],
    [
      'a SignerInfo whose version contradicts its sid',
      () => put([...signerInfo, 0], der.integer(3)),
      'CMS_VERSION',
    ],
    ['no signer', () => changed(message, [...data, 4], (node) => (node.children = [])), 'CMS_SIGNER_COUNT'],
    ['two signers', () => double([...data, 4]), 'CMS_SIGNER_COUNT'],
    [
      'no signed attributes',
      () => changed(message, signerInfo, (node) => node.children?.splice(3, 1)),
      'CMS_ATTRIBUTES',
    ],
    [
      'an attribute that comes twice',
      () => changed(message, attributes, (node) => node.children?.unshift(at(node, 0))),
      'CMS_ATTRIBUTES',
    ],
    [
      'no messageDigest',
      () => changed(message, attributes, (node) => node.children?.splice(1, 1)),
      'CMS_ATTRIBUTES',
    ],
    [
      'no contentType',
      () => changed(message, attributes, (node) => node.children?.splice(0, 1)),
      'CMS_ATTRIBUTES',
    ],
    ['two values of messageDigest', () => double([...attributes, 1, 1]), 'DER_TRAILING'],
    [
      'an attribute without a value',
      () => changed(message, [...attributes, 1, 1], (node) => (node.children = [])),
      'DER_TRUNCATED',
    ],
    [
      'signed attributes out of order',
      () => changed(message, attributes, (node) => (node.children = node.children?.toReversed() ?? [])),
      'DER_ORDER',
    ],
    ['a broken certificate', () => put([...data, 3, 0], der.sequence()), 'DER_TRUNCATED'],
    [
      'an attribute certificate',
      () => changed(message, [...data, 3], (node) => node.children?.push({ tag: 0xa2, children: [] })),
      'DER_TAG',
    ],
    [
      '65 certificates',
      () =>
        changed(
          message,
          [...data, 3],
          (node) => (node.children = Array.from({ length: 65 }, () => at(node, 0))),
        ),
      'CMS_CERTIFICATES',
    ],
    ['octets after the message', () => Buffer.concat([message, Buffer.of(0)]), 'DER_TRAILING'],
    [
      'content in pieces',
      () =>
        changed(message, [...data, 2, 1, 0], (node) =>
          Object.assign(node, { tag: 0x24, children: [{ tag: 4, contents: content }] }),
        ),
      'DER_TAG',
    ],
  ])('refuses %s', (_, forge, code) => {
    expectCode(() => parseSignedData(forge()), code);
  });
});
