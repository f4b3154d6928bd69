import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  readAlgorithmIdentifier,
  signatureAlgorithm,
  signatureAlgorithmIdentifier,
} from '../../src/pki/algorithms.ts';
import {
  algorithmOf,
  der,
  parseCertificate,
  pemToDer,
  verifySignature,
  type DigestAlgorithm,
  type SignatureAlgorithm,
} from '../../src/pki/index.ts';
import { folder, generateKey, openssl, softwareSigner } from './support.ts';

const message = Buffer.from('以此为凭');

const pss = ['rsa_padding_mode:pss', 'rsa_pss_saltlen:digest'];

const algorithms: [SignatureAlgorithm, string | undefined, ...options: string[]][] = [
  ['ecdsa-with-SHA256', 'P-256'],
  ['ecdsa-with-SHA256', 'P-384'],
  ['ecdsa-with-SHA384', 'P-384'],
  ['ecdsa-with-SHA512', 'P-521'],
  ['sha256WithRSAEncryption', undefined],
  ['sha384WithRSAEncryption', undefined],
  ['sha512WithRSAEncryption', undefined],
  ['RSASSA-PSS-SHA256', undefined, ...pss],
  ['RSASSA-PSS-SHA384', undefined, ...pss],
  ['RSASSA-PSS-SHA512', undefined, ...pss],
  ['Ed25519', undefined],
  ['sm2-with-SM3', undefined, 'distid:1234567812345678'],
];

describe.each(algorithms)('%s (%s)', (algorithm, curve, ...options) => {
  const privateKey = generateKey(algorithm, curve);
  const publicKey = createPublicKey(privateKey);
  const how = [
    '-rawin',
    ...(algorithm === 'Ed25519' ? [] : ['-digest', algorithmOf(algorithm).digest]),
    ...options.flatMap((option) => ['-pkeyopt', option]),
  ];

  test('verifies what OpenSSL signed, and OpenSSL verifies what we sign', async () => {
    const files = folder();
    const key = files.write('key.pem', privateKey.export({ format: 'pem', type: 'pkcs8' }));
    const pub = files.write('pub.pem', publicKey.export({ format: 'pem', type: 'spki' }));
    const data = files.write('data', message);
    const sig = files.path('sig');
    openssl('pkeyutl', '-sign', ...how, '-inkey', key, '-in', data, '-out', sig);
    expect(verifySignature(algorithm, publicKey, message, files.read('sig'))).toBe(true);
    const ours = files.write('ours', await softwareSigner(algorithm, privateKey).sign(message));
    const verified = openssl(
      'pkeyutl',
      '-verify',
      ...how,
      '-pubin',
      '-inkey',
      pub,
      '-in',
      data,
      '-sigfile',
      ours,
    );
    expect(verified).toContain('Signature Verified Successfully');
  });

  test('refuses another message, another key, and every other algorithm', async () => {
    const signature = await softwareSigner(algorithm, privateKey).sign(message);
    const other = createPublicKey(generateKey(algorithm, curve));
    expect(verifySignature(algorithm, publicKey, Buffer.from('以此为据'), signature)).toBe(false);
    expect(verifySignature(algorithm, other, message, signature)).toBe(false);
    const others = new Set([...algorithms.map(([name]) => name), 'ES256' as const]);
    others.delete(algorithm);
    for (const name of others) expect(verifySignature(name, publicKey, message, signature)).toBe(false);
  });

  test('answers no, and does not throw, to a signature that is garbage', async () => {
    const good = Buffer.from(await softwareSigner(algorithm, privateKey).sign(message));
    const garbage = [
      Buffer.alloc(0),
      Buffer.alloc(1),
      Buffer.alloc(64),
      Buffer.alloc(good.length, 0xff),
      Buffer.alloc(10_000),
      good.subarray(1),
      good.subarray(0, -1),
      Buffer.concat([good, Buffer.of(0)]),
      Buffer.concat([Buffer.of(0), good]),
    ];
    for (const each of garbage) expect(verifySignature(algorithm, publicKey, message, each)).toBe(false);
  });
});

describe('ES256 (RFC 7518 3.4)', () => {
  const signer = softwareSigner('ES256');

  test('is r and s side by side, 64 octets', async () => {
    const signature = await signer.sign(message);
    expect(signature).toHaveLength(64);
    expect(verifySignature('ES256', signer.publicKey, message, signature)).toBe(true);
    expect(verifySignature('ecdsa-with-SHA256', signer.publicKey, message, signature)).toBe(false);
  });

  test('refuses DER, 63 and 65 octets, and r or s that is zero or not below the order', async () => {
    const good = Buffer.from(await signer.sign(message));
    const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
    const zero = Buffer.alloc(32);
    const [r, s] = [good.subarray(0, 32), good.subarray(32)];
    const asDer = der.sequence(der.integer(r), der.integer(s));
    for (const each of [
      asDer,
      good.subarray(0, 63),
      Buffer.concat([good, Buffer.of(0)]),
      Buffer.concat([zero, s]),
      Buffer.concat([r, zero]),
      Buffer.concat([zero, zero]),
      Buffer.concat([order, s]),
      Buffer.concat([r, order]),
    ]) {
      expect(verifySignature('ES256', signer.publicKey, message, each)).toBe(false);
    }
  });

  test('is for P-256 alone', () => {
    const privateKey = generateKey('ES256', 'P-384');
    const signature = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
    expect(verifySignature('ES256', createPublicKey(privateKey), message, signature)).toBe(false);
  });
});

describe('ECDSA in DER', () => {
  const signer = softwareSigner('ecdsa-with-SHA256');

  test('refuses other spellings of the same numbers', async () => {
    const good = Buffer.from(await signer.sign(message));
    const [r, s] = der.decode(good, (reader) =>
      reader.sequence((inner) => [inner.integer(), inner.integer()] as const),
    );
    const padded = (octets: Uint8Array) => der.element(der.tags.integer, Uint8Array.of(0), octets);
    const verifies = (...elements: Buffer[]) =>
      verifySignature('ecdsa-with-SHA256', signer.publicKey, message, Buffer.concat(elements));
    const plain = (octets: Uint8Array) => der.element(der.tags.integer, octets);
    expect(verifies(der.sequence(plain(r), plain(s)))).toBe(true);
    expect(verifies(der.sequence(padded(r), plain(s)))).toBe(false);
    expect(verifies(der.sequence(plain(r), plain(s), der.nullValue()))).toBe(false);
    expect(verifies(der.sequence(plain(r), plain(s)), Buffer.of(0))).toBe(false);
    expect(verifies(Buffer.of(0x30, 0x80), plain(r), plain(s), Buffer.of(0, 0))).toBe(false);
    expect(verifies(Buffer.of(0x30, 0x81, good.length - 2), plain(r), plain(s))).toBe(false);
  });
});

describe('keys that suit no algorithm', () => {
  const verifies = (publicKey: KeyObject, signature: Uint8Array, algorithm: SignatureAlgorithm) =>
    verifySignature(algorithm, publicKey, message, signature);

  test('an RSA key of 1024 bits', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    expect(verifies(publicKey, sign('sha256', message, privateKey), 'sha256WithRSAEncryption')).toBe(false);
  });

  test.each(['secp256k1', 'SM2'])(
    'ECDSA on the curve %s, although OpenSSL would compute it',
    (namedCurve) => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
      const signature = sign('sha256', message, privateKey);
      expect(verifies(publicKey, signature, 'ecdsa-with-SHA256')).toBe(false);
      expect(verifies(publicKey, signature, 'ES256')).toBe(false);
    },
  );

  test('keys of RSASSA-PSS, Ed25519, X25519 and SM2 under the name of an algorithm of another kind', () => {
    const keys = [
      generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey,
      generateKeyPairSync('ed25519').publicKey,
      generateKeyPairSync('x25519').publicKey,
      generateKeyPairSync('ec', { namedCurve: 'SM2' }).publicKey,
    ];
    for (const publicKey of keys) {
      for (const algorithm of ['ecdsa-with-SHA256', 'sha256WithRSAEncryption', 'ES256'] as const) {
        expect(verifies(publicKey, Buffer.alloc(64), algorithm)).toBe(false);
      }
    }
  });

  test('a key whose curve parameters are spelled out still counts only under its name', () => {
    const pem = execFileSync(
      'openssl',
      ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-param_enc', 'explicit'],
      { encoding: 'utf8' },
    );
    expect(verifies(createPublicKey(pem), Buffer.alloc(64), 'ecdsa-with-SHA256')).toBe(false);
  });
});

describe('the name of an algorithm in a certificate or message', () => {
  const read = (bytes: Uint8Array) => der.decode(bytes, readAlgorithmIdentifier);
  const named = (bytes: Uint8Array, digest?: DigestAlgorithm) => signatureAlgorithm(read(bytes), digest);
  const identifier = (oid: string, ...parameters: Buffer[]) =>
    der.sequence(der.objectIdentifier(oid), ...parameters);

  test.each(algorithms.map(([name]) => name))('%s is read as it is written', (name) => {
    expect(named(signatureAlgorithmIdentifier(name))).toBe(name);
  });

  test('RSASSA-PSS is known by its parameters, as OpenSSL writes them, and by no others (RFC 4055 3.1)', () => {
    const files = folder();
    const key = files.path('key.pem');
    openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', key);
    const issued = (...options: string[]) => {
      const sigopts = ['rsa_padding_mode:pss', ...options].flatMap((option) => ['-sigopt', option]);
      const pem = openssl('req', '-x509', '-new', '-key', key, '-sha384', '-subj', '/CN=pss', ...sigopts);
      const certificate = parseCertificate(pemToDer('CERTIFICATE', pem)[0] ?? Buffer.alloc(0));
      const { signatureAlgorithm: name, publicKey, tbsCertificate, signature } = certificate;
      return name && [name, verifySignature(name, publicKey, tbsCertificate, signature)];
    };
    expect(issued('rsa_pss_saltlen:digest')).toEqual(['RSASSA-PSS-SHA384', true]);
    expect(issued('rsa_pss_saltlen:20')).toBeUndefined();
    expect(issued('rsa_pss_saltlen:digest', 'rsa_mgf1_md:sha256')).toBeUndefined();
    expect(named(identifier('1.2.840.113549.1.1.10'))).toBeUndefined();
    expect(named(identifier('1.2.840.113549.1.1.10', der.nullValue()))).toBeUndefined();
  });

  test('SM2 is read with NULL too, and beside SM3 under the name that GB/T 35275 gives it', () => {
    expect(named(identifier('1.2.156.10197.1.501', der.nullValue()))).toBe('sm2-with-SM3');
    expect(named(identifier('1.2.156.10197.1.301.1'), 'sm3')).toBe('sm2-with-SM3');
    expect(named(identifier('1.2.156.10197.1.301.1'), 'sha256')).toBeUndefined();
    expect(named(identifier('1.2.156.10197.1.301.1'))).toBeUndefined();
  });

  test('Ed25519 has no parameters (RFC 8410 3)', () => {
    expect(named(identifier('1.3.101.112', der.nullValue()))).toBeUndefined();
  });
});
