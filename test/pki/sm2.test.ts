import {
  createPublicKey,
  createECDH,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  der,
  isSm2,
  sm2Digest,
  sm2PrivateKey,
  sm2Z,
  verifySm2,
  verifySm2Digest,
} from '../../src/pki/index.ts';
import { n } from '../../src/pki/sm2-curve.ts';
import { randomSignatures } from '../fuzz/sm2.ts';
import { folder, openssl } from './support.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const octets = (number: bigint) => hex(number.toString(16).padStart(64, '0'));
const curve = der.sequence(
  der.objectIdentifier('1.2.840.10045.2.1'),
  der.objectIdentifier('1.2.156.10197.1.301'),
);
/** PKCS #8 of a number, without the public key. */
const privateKeyInfo = (d: Uint8Array) =>
  der.sequence(der.integer(0), curve, der.octetString(der.sequence(der.integer(1), der.octetString(d))));
const pkcs8 = (key: KeyObject) => key.export({ format: 'der', type: 'pkcs8' });
const numbersOf = (signature: Uint8Array) =>
  der.decode(signature, (reader) => reader.sequence((inner) => [inner.integer(), inner.integer()] as const));
const number = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);

describe('the example of GB/T 32918.5, A.2', () => {
  const key = sm2PrivateKey(
    privateKeyInfo(hex('3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8')),
  );
  const message = Buffer.from('message digest');
  const k = hex('59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21');
  const r = hex('f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3');
  const s = hex('b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa');

  test('has its public key, its Z and its e', () => {
    expect(key.publicKey.export({ format: 'der', type: 'spki' }).subarray(-64)).toEqual(
      hex(
        '09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020' +
          'ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13',
      ),
    );
    const z = sm2Z(key.publicKey);
    expect(z).toEqual(hex('b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3'));
    expect(sm2Digest(z, message)).toEqual(
      hex('f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640'),
    );
  });

  test('has its r and s, and verifies', () => {
    const ladder = createECDH('SM2');
    ladder.setPrivateKey(k);
    const e = sm2Digest(sm2Z(key.publicKey), message);
    const signature = key.signDigest(e, { k, point: ladder.getPublicKey() });
    expect(numbersOf(signature).map((octet) => octet.subarray(-32))).toEqual([r, s]);
    expect(verifySm2(key.publicKey, message, signature)).toBe(true);
    expect(verifySm2Digest(key.publicKey, e, signature)).toBe(true);
  });

  test('is not signed with a k·G that is not on the curve', () => {
    const ladder = createECDH('SM2');
    ladder.setPrivateKey(k);
    const point = Buffer.from(ladder.getPublicKey());
    const e = sm2Digest(sm2Z(key.publicKey), message);
    point[64] = (point[64] ?? 0) ^ 1;
    expect(() => key.signDigest(e, { k, point })).toThrow('not on the curve');
  });
});

describe('SM2 signatures', () => {
  const made = generateKeyPairSync('ec', { namedCurve: 'SM2' });
  const key = sm2PrivateKey(pkcs8(made.privateKey));
  const message = Buffer.from('以此为凭');

  test('are right for many keys, numbers and messages, and wrong for every other', () => {
    expect(randomSignatures(400)).toBe(400);
  });

  test('are accepted by OpenSSL under the signer ID, and under no other', () => {
    const files = folder();
    const pub = files.write('pub.pem', key.publicKey.export({ format: 'pem', type: 'spki' }));
    const data = files.write('data', message);
    const verify = (id: string) => () =>
      openssl(
        'pkeyutl',
        '-verify',
        '-rawin',
        '-digest',
        'sm3',
        '-pkeyopt',
        `distid:${id}`,
        '-pubin',
        '-inkey',
        pub,
        '-in',
        data,
        '-sigfile',
        files.write('sig', key.sign(message)),
      );
    for (let i = 0; i < 20; i++) expect(verify('1234567812345678')()).toContain('Verified Successfully');
    expect(verify('8765432187654321')).toThrow('Command failed');
    const named = sm2PrivateKey(pkcs8(made.privateKey), '张三');
    expect(verifySm2(named.publicKey, message, named.sign(message), '张三')).toBe(true);
    expect(verifySm2(named.publicKey, message, named.sign(message))).toBe(false);
  });

  test("of OpenSSL's are accepted", () => {
    const files = folder();
    const data = files.write('data', message);
    for (let i = 0; i < 20; i++) {
      const pem = files.path('key.pem');
      openssl('ecparam', '-name', 'SM2', '-genkey', '-noout', '-out', pem);
      openssl(
        'pkeyutl',
        '-sign',
        '-rawin',
        '-digest',
        'sm3',
        '-pkeyopt',
        'distid:1234567812345678',
        '-inkey',
        pem,
        '-in',
        data,
        '-out',
        files.path('sig'),
      );
      const publicKey = createPublicKey(files.read('key.pem'));
      expect(verifySm2(publicKey, message, files.read('sig'))).toBe(true);
      expect(verifySm2(publicKey, Buffer.from('以此为据'), files.read('sig'))).toBe(false);
    }
  });

  test('are not what Node makes of such a key: neither ECDSA over the curve, nor SM2 under the empty ID', () => {
    const ecdsa = sign('sm3', message, made.privateKey);
    const underEmptyId = sign('sm3', message, {
      key: pkcs8(made.privateKey),
      format: 'der',
      type: 'pkcs8',
    });
    for (const publicKey of [made.publicKey, key.publicKey]) {
      expect(verifySm2(publicKey, message, key.sign(message))).toBe(true);
      expect(verifySm2(publicKey, message, ecdsa)).toBe(false);
      expect(verifySm2(publicKey, message, underEmptyId)).toBe(false);
      expect(verifySm2(publicKey, message, underEmptyId, '')).toBe(true);
    }
  });

  test('hold no number that is zero, not below the order, or negative, and no r + s that is the order', () => {
    const [r, s] = numbersOf(key.sign(message)).map(number) as [bigint, bigint];
    const verifies = (one: bigint, other: bigint) =>
      verifySm2(key.publicKey, message, der.sequence(der.integer(octets(one)), der.integer(octets(other))));
    expect(verifies(r, s)).toBe(true);
    const pairs: [bigint, bigint][] = [
      [0n, s],
      [r, 0n],
      [0n, 0n],
      [n, s],
      [r, n],
      [r, n - r],
      [r, n - s],
      [n - r, s],
      [s, r],
    ];
    if (r + n < 2n ** 256n) pairs.push([r + n, s]);
    if (s + n < 2n ** 256n) pairs.push([r, s + n]);
    for (const [one, other] of pairs) expect(verifies(one, other)).toBe(false);
    const negative = (bytes: Buffer) => der.element(der.tags.integer, bytes);
    const minusR = octets(2n ** 256n - r);
    expect(
      verifySm2(
        key.publicKey,
        message,
        der.sequence(negative(Buffer.concat([Uint8Array.of(0xff), minusR])), der.integer(octets(s))),
      ),
    ).toBe(false);
  });

  test('are DER of two numbers: other spellings, raw octets and garbage are refused', () => {
    const good = key.sign(message);
    const [r, s] = numbersOf(good);
    const raw = Buffer.concat([r.subarray(-32), s.subarray(-32)]);
    const padded = der.element(der.tags.integer, Uint8Array.of(0), r);
    for (const each of [
      raw,
      Buffer.alloc(0),
      Buffer.alloc(72, 0xff),
      Buffer.alloc(100_000),
      good.subarray(0, -1),
      Buffer.concat([good, Uint8Array.of(0)]),
      der.sequence(padded, der.element(der.tags.integer, s)),
      der.sequence(der.element(der.tags.integer, r)),
    ])
      expect(verifySm2(key.publicKey, message, each)).toBe(false);
  });

  test('of a key whose number is known to the forger meet the corners of the addition', () => {
    // With d = 1 the key is G itself: s·G + t·P adds equal points when s = t, and opposite ones when s + t = n.
    const one = sm2PrivateKey(privateKeyInfo(octets(1n)));
    const e = randomBytes(32);
    const check = (s: bigint, t: bigint) => {
      const r = (t - s + n) % n;
      return verifySm2Digest(one.publicKey, e, der.sequence(der.integer(octets(r)), der.integer(octets(s))));
    };
    expect(check(5n, 5n)).toBe(false);
    expect(check(5n, n - 5n)).toBe(false);
    for (const k of [2n, 3n, 64n, 4096n, n - 2n]) {
      const ladder = createECDH('SM2');
      ladder.setPrivateKey(octets(k));
      const signature = one.signDigest(e, { k: octets(k), point: ladder.getPublicKey() });
      expect(verifySm2Digest(one.publicKey, e, signature)).toBe(true);
    }
    // s = t, and right: r = 0 is the only way to that, and no signature; so P = 2G and s = 2t.
    const ladder = createECDH('SM2');
    const s = 6n;
    const two = sm2PrivateKey(privateKeyInfo(octets(2n)));
    const t = 3n;
    ladder.setPrivateKey(octets(s + 2n * t));
    const x = number(ladder.getPublicKey().subarray(1, 33));
    const r = (t - s + n) % n;
    const fitting = octets((((r - x) % n) + n) % n);
    const signature = der.sequence(der.integer(octets(r)), der.integer(octets(s)));
    expect(verifySm2Digest(two.publicKey, fitting, signature)).toBe(true);
  });
});

describe('SM2 keys', () => {
  test('are known whether Node made them or read them, compressed or not', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'SM2' });
    const read = createPublicKey(publicKey.export({ format: 'pem', type: 'spki' }));
    const point = publicKey.export({ format: 'der', type: 'spki' }).subarray(-65);
    const compressed = Buffer.concat([Uint8Array.of(2 + ((point[64] ?? 0) & 1)), point.subarray(1, 33)]);
    const short = createPublicKey({
      key: der.sequence(curve, der.bitString(compressed)),
      format: 'der',
      type: 'spki',
    });
    const key = sm2PrivateKey(pkcs8(privateKey));
    const signature = key.sign(Buffer.from('x'));
    for (const each of [publicKey, read, short, key.publicKey]) {
      expect(isSm2(each)).toBe(true);
      expect(sm2Z(each)).toEqual(sm2Z(publicKey));
      expect(verifySm2(each, Buffer.from('x'), signature)).toBe(true);
    }
  });

  test('are not those of other curves or kinds', () => {
    for (const other of [
      generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      generateKeyPairSync('ed25519'),
      generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ]) {
      expect(isSm2(other.publicKey)).toBe(false);
      expect(() => sm2PrivateKey(pkcs8(other.privateKey))).toThrow(TypeError);
      expect(verifySm2(other.publicKey, Buffer.from('x'), Buffer.alloc(70))).toBe(false);
    }
  });

  test('have a number from 1 to n - 2: with n - 1 nothing can be signed', () => {
    for (const d of [0n, n - 1n, n, n + 1n])
      expect(() => sm2PrivateKey(privateKeyInfo(octets(d)))).toThrow('Not the private number');
    const last = sm2PrivateKey(privateKeyInfo(octets(n - 2n)));
    expect(verifySm2(last.publicKey, Buffer.from('x'), last.sign(Buffer.from('x')))).toBe(true);
  });
});
