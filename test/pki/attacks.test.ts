/** Attacks on signed messages: each changes what a signature seems to say, and each is answered by the check that is about it. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  der,
  parseSignedData,
  signedAttributes,
  signedData,
  verifySignerInfo,
  type Certificate,
  type SignerInfoVerdict,
} from '../../src/pki/index.ts';
import { issueCa, issueSeal } from './support.ts';
import { changed, toTree, type Node } from './tree.ts';

const digest = createHash('sha256').update('付款一万元').digest();
const otherDigest = createHash('sha256').update('付款一百万元').digest();

const root = await issueCa('根');
const seal = await issueSeal('公章', { issuer: root });
const { serialNumber } = seal.certificate;
/** The same issuer, serial number and name, another key. */
const twin = await issueSeal('公章', { issuer: root, template: { serialNumber } });
/** The same issuer, serial number, name and key; but it may do more. */
const richer = await issueSeal('公章', {
  issuer: root,
  template: { serialNumber },
  privateKey: seal.privateKey,
  extensions: { certificatePolicies: ['1.2.3'] },
});
/** The same serial number, another issuer. */
const foreign = await issueSeal('公章', { issuer: await issueCa('外人'), template: { serialNumber } });

const attributes = signedAttributes({ messageDigest: digest, signerCertificate: seal.certificate });
const message = signedData({
  signedAttributes: attributes,
  signature: await seal.signer.sign(attributes),
  algorithm: 'ecdsa-with-SHA256',
  signerCertificate: seal.certificate,
  certificates: [root.certificate],
});

/** Where things stand in the message. */
const digestAlgorithms = [1, 0, 1];
const eContentInfo = [1, 0, 2];
const certificates = [1, 0, 3];
const signerInfo = [1, 0, 4, 0];
const sha384 = toTree(der.sequence(der.objectIdentifier('2.16.840.1.101.3.4.2.2')));
const algorithm = (oid: string, ...parameters: Buffer[]) =>
  toTree(der.sequence(der.objectIdentifier(oid), ...parameters));

type Forge = () => Buffer;
const put = (bytes: Buffer, path: readonly number[], node: Node) =>
  changed(bytes, path, (old) => Object.assign(old, { children: undefined, contents: undefined }, node));
const withCertificates =
  (...replaced: Certificate[]): Forge =>
  () =>
    changed(message, certificates, (node) => (node.children = replaced.map((each) => toTree(each.der))));

/** The checks that fail. */
function failing(verdict: SignerInfoVerdict): string[] {
  const { valid, signerCertificate: _, ...checks } = verdict;
  const failed = Object.entries(checks).flatMap(([name, holds]) => (holds ? [] : [name]));
  expect(valid).toBe(failed.length === 0);
  return failed;
}

describe('a seal does not survive', () => {
  test.each<[string, Forge, string[]]>([
    [
      'a certificate swapped for one with the same number and another key',
      withCertificates(twin.certificate),
      ['signingCertificate', 'signature'],
    ],
    [
      'a certificate swapped for another of the same key',
      withCertificates(richer.certificate),
      ['signingCertificate'],
    ],
    [
      'a certificate taken out',
      withCertificates(root.certificate),
      ['signingCertificate', 'algorithms', 'signature'],
    ],
    [
      'a certificate swapped for one with the same number from another issuer',
      withCertificates(foreign.certificate),
      ['signingCertificate', 'algorithms', 'signature'],
    ],
    [
      'all certificates taken out',
      () => changed(message, [1, 0], (node) => node.children?.splice(3, 1)),
      ['signingCertificate', 'algorithms', 'signature'],
    ],
    [
      'an sid that points to the root',
      () =>
        put(
          message,
          [...signerInfo, 1],
          toTree(der.sequence(root.certificate.issuer.der, der.element(2, root.certificate.serialNumber))),
        ),
      ['signingCertificate', 'signature'],
    ],
    [
      'a changed messageDigest',
      () => changed(message, [...signerInfo, 3, 1, 1, 0], (node) => (node.contents = otherDigest)),
      ['messageDigest', 'signature'],
    ],
    [
      'a changed type of content',
      () =>
        changed(
          message,
          [...eContentInfo, 0],
          (node) => (node.contents = der.objectIdentifier('1.2.840.113549.1.9.16.1.4').subarray(2)),
        ),
      ['contentType'],
    ],
    [
      'a signingCertificateV2 changed to suit another certificate',
      () => {
        const forged = toTree(
          signedAttributes({ messageDigest: digest, signerCertificate: twin.certificate }),
        );
        return put(withCertificates(twin.certificate)(), [...signerInfo, 3], { ...forged, tag: 0xa0 });
      },
      ['signature'],
    ],
    [
      'a signature taken from other attributes',
      () => {
        const forged = toTree(
          signedAttributes({
            messageDigest: digest,
            signerCertificate: seal.certificate,
            signingTime: new Date(0),
          }),
        );
        return put(message, [...signerInfo, 3], { ...forged, tag: 0xa0 });
      },
      ['signature'],
    ],
    [
      'a digest algorithm that differs from the signature’s',
      () => put(put(message, [...signerInfo, 2], sha384), [...digestAlgorithms, 0], sha384),
      ['algorithms'],
    ],
    [
      'a digest algorithm that the message does not announce',
      () => put(message, [...digestAlgorithms, 0], sha384),
      ['algorithms'],
    ],
    [
      'another digest under the signature',
      () => put(message, [...signerInfo, 4], algorithm('1.2.840.10045.4.3.3')),
      ['algorithms', 'signature'],
    ],
    [
      'an RSA algorithm over an EC key',
      () => put(message, [...signerInfo, 4], algorithm('1.2.840.113549.1.1.11', der.nullValue())),
      ['algorithms', 'signature'],
    ],
    [
      'rsaEncryption over an EC key',
      () => put(message, [...signerInfo, 4], algorithm('1.2.840.113549.1.1.1', der.nullValue())),
      ['algorithms', 'signature'],
    ],
    ['SHA-1', () => put(message, [...signerInfo, 2], algorithm('1.3.14.3.2.26')), ['algorithms']],
    [
      'parameters that ECDSA does not have',
      () => put(message, [...signerInfo, 4], algorithm('1.2.840.10045.4.3.2', der.nullValue())),
      ['algorithms', 'signature'],
    ],
    [
      'an empty signature',
      () => changed(message, [...signerInfo, 5], (node) => (node.contents = Buffer.alloc(0))),
      ['signature'],
    ],
  ])('%s', (_, forge, expected) => {
    expect(failing(verifySignerInfo(parseSignedData(forge()), digest))).toEqual(expected);
  });

  test('another document', () => {
    const signed = parseSignedData(message);
    expect(failing(verifySignerInfo(signed, otherDigest))).toEqual(['messageDigest']);
    expect(failing(verifySignerInfo(signed, Buffer.alloc(0)))).toEqual(['messageDigest']);
    expect(failing(verifySignerInfo(signed, digest.subarray(0, 31)))).toEqual(['messageDigest']);
  });

  test('a raw signature, r and s side by side, in place of DER', () => {
    const { signature } = parseSignedData(message).signerInfo;
    const raw = der.decode(signature, (reader) =>
      reader.sequence((inner) =>
        Buffer.concat([inner.integer(), inner.integer()].map((each) => each.subarray(-32))),
      ),
    );
    const forged = changed(message, [...signerInfo, 5], (node) => (node.contents = raw));
    expect(failing(verifySignerInfo(parseSignedData(forged), digest))).toEqual(['signature']);
  });

  test.each<[string, readonly number[], Buffer]>([
    ['issuer', [0, 0, 0], seal.certificate.subject.der],
    ['serial number', [1], der.integer(7)],
  ])('a signingCertificateV2 whose digest is right and whose %s is wrong', async (_, path, value) => {
    const issuerSerial = [2, 1, 0, 0, 0, 1];
    const wrong = put(attributes, [...issuerSerial, ...path], toTree(value));
    const forged = signedData({
      signedAttributes: wrong,
      signature: await seal.signer.sign(wrong),
      algorithm: 'ecdsa-with-SHA256',
      signerCertificate: seal.certificate,
      certificates: [],
    });
    expect(failing(verifySignerInfo(parseSignedData(forged), digest))).toEqual(['signingCertificate']);
  });
});

describe('a seal survives', () => {
  test('strangers’ certificates beside its own, even one with the same number', () => {
    const signed = parseSignedData(
      withCertificates(twin.certificate, richer.certificate, seal.certificate)(),
    );
    const verdict = verifySignerInfo(signed, digest);
    expect(failing(verdict)).toEqual([]);
    expect(verdict.signerCertificate?.der).toEqual(seal.certificate.der);
  });

  test('SHA-256 of signingCertificateV2 said in words, as some signers do', async () => {
    const inWords = changed(attributes, [2, 1, 0, 0, 0], (node) =>
      node.children?.unshift(algorithm('2.16.840.1.101.3.4.2.1')),
    );
    const forged = signedData({
      signedAttributes: inWords,
      signature: await seal.signer.sign(inWords),
      algorithm: 'ecdsa-with-SHA256',
      signerCertificate: seal.certificate,
      certificates: [],
    });
    expect(failing(verifySignerInfo(parseSignedData(forged), digest))).toEqual([]);
  });
});
