/** What the tests of this room need: keys, a small authority, OpenSSL, and the outside of files. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import {
  algorithmOf,
  buildCertificate,
  distinguishedName,
  keyIdentifier,
  parseCertificate,
  signingOptions,
  sm2PrivateKey,
  type Certificate,
  type CertificateTemplate,
  type Extensions,
  type SignatureAlgorithm,
  type Signer,
} from '../../src/pki/index.ts';

export const notBefore = new Date('2026-01-01T00:00:00Z');
export const notAfter = new Date('2049-12-31T23:59:59Z');
/** A time at which the certificates made here are valid. */
export const during = new Date('2026-06-01T12:00:00Z');

/** Runs OpenSSL; its complaint is the message of the error. */
export function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Everything that OpenSSL says, whether it succeeds or not: some of its commands exit with 0 on a bad signature. */
export function opensslSays(...args: string[]): string {
  const { stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  return stdout + stderr;
}

/** A folder that goes away with the test. */
export function folder(): {
  write(name: string, bytes: Uint8Array | string): string;
  path(name: string): string;
  read(name: string): Buffer;
} {
  const root = mkdtempSync(join(tmpdir(), 'yinxin-pki-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const path = (name: string): string => join(root, name);
  return {
    path,
    read: (name) => readFileSync(path(name)),
    write(name, bytes) {
      writeFileSync(path(name), bytes);
      return path(name);
    },
  };
}

export function generateKey(algorithm: SignatureAlgorithm, namedCurve = 'P-256'): KeyObject {
  switch (algorithmOf(algorithm).keyType) {
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey;
    case 'sm2':
      return generateKeyPairSync('ec', { namedCurve: 'SM2' }).privateKey;
    case 'ec':
      return generateKeyPairSync('ec', { namedCurve }).privateKey;
  }
}

export function softwareSigner(algorithm: SignatureAlgorithm, key = generateKey(algorithm)): Signer {
  const publicKey = createPublicKey(key);
  if (algorithmOf(algorithm).keyType === 'sm2') {
    const sm2 = sm2PrivateKey(key.export({ format: 'der', type: 'pkcs8' }));
    return { algorithm, publicKey, sign: async (data) => sm2.sign(data) };
  }
  const { digest, options } = signingOptions(algorithm);
  return { algorithm, publicKey, sign: async (data) => sign(digest, data, { key, ...options }) };
}

/** Someone with a certificate and its key. */
export interface Holder {
  readonly certificate: Certificate;
  readonly signer: Signer;
  /** The PKCS#8 key, for OpenSSL. */
  readonly privateKey: KeyObject;
}

export interface Wishes {
  readonly algorithm?: SignatureAlgorithm;
  readonly namedCurve?: string;
  readonly privateKey?: KeyObject;
  readonly issuer?: Holder;
  readonly template?: Partial<CertificateTemplate>;
  readonly extensions?: Partial<Extensions>;
}

/** Issues a certificate; without an issuer it signs itself. */
export async function issue(commonName: string, wishes: Wishes = {}): Promise<Holder> {
  const { algorithm = 'ecdsa-with-SHA256', namedCurve, issuer, template, extensions } = wishes;
  const privateKey = wishes.privateKey ?? generateKey(algorithm, namedCurve);
  const signer = softwareSigner(algorithm, privateKey);
  const subject = distinguishedName([{ countryName: 'CN' }, { organizationName: '示例市' }, { commonName }]);
  const der = await buildCertificate(
    {
      serialNumber: Buffer.concat([Uint8Array.of(0x5a), randomBytes(15)]),
      issuer: issuer?.certificate.subject ?? subject,
      subject,
      notBefore,
      notAfter,
      subjectPublicKey: signer.publicKey,
      ...template,
      extensions: {
        subjectKeyIdentifier: keyIdentifier(signer.publicKey),
        authorityKeyIdentifier: issuer?.certificate.extensions.subjectKeyIdentifier,
        ...extensions,
      },
    },
    issuer?.signer ?? signer,
  );
  return { certificate: parseCertificate(der), signer, privateKey };
}

/** A CA, allowed to sign certificates. */
export function issueCa(
  commonName: string,
  wishes: Wishes & { readonly pathLen?: number } = {},
): Promise<Holder> {
  return issue(commonName, {
    ...wishes,
    extensions: {
      basicConstraints: { cA: true, pathLenConstraint: wishes.pathLen },
      keyUsage: ['keyCertSign', 'cRLSign'],
      ...wishes.extensions,
    },
  });
}

/** The key of a seal. */
export function issueSeal(commonName: string, wishes: Wishes = {}): Promise<Holder> {
  return issue(commonName, {
    ...wishes,
    extensions: { keyUsage: ['digitalSignature', 'nonRepudiation'], ...wishes.extensions },
  });
}

export function privateKeyPem({ privateKey }: Holder): string {
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** Expects an error with this code, such as `DER_LENGTH`. */
export function expectCode(run: () => unknown, code: string): void {
  expect(run).toThrow(expect.objectContaining({ code }));
}
