import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint, createLocalJWKSet, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { thumbprint, toJwks } from '../../src/pki/index.ts';
import { generateKey, softwareSigner } from './support.ts';

test('gives the thumbprint of RFC 7638 section 3.1', async () => {
  const n =
    '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw';
  const publicKey = createPublicKey({ key: { kty: 'RSA', n, e: 'AQAB' }, format: 'jwk' });
  expect(await thumbprint(publicKey)).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
});

test('publishes keys as a JWK Set that a stock client verifies with', async () => {
  const signer = softwareSigner('ES256');
  const other = softwareSigner('ES256');
  const jwks = await toJwks([other.publicKey, signer.publicKey]);
  const kid = await thumbprint(signer.publicKey);
  const { x, y } = signer.publicKey.export({ format: 'jwk' });
  expect(jwks.keys[1]).toEqual({ kty: 'EC', crv: 'P-256', x, y, kid, use: 'sig', alg: 'ES256' });
  expect(await calculateJwkThumbprint({ ...jwks.keys[1] })).toBe(kid);

  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${encode({ alg: 'ES256', kid })}.${encode({ sub: '甲' })}`;
  const signature = Buffer.from(await signer.sign(Buffer.from(input))).toString('base64url');
  const keySet = createLocalJWKSet({ keys: jwks.keys.map((key) => ({ ...key })) });
  expect((await jwtVerify(`${input}.${signature}`, keySet)).payload).toEqual({ sub: '甲' });
});

test('keeps the leading zeros of coordinates', async () => {
  // A coordinate that begins with 00 comes once in 128 keys.
  for (let found = false; !found;) {
    const publicKey = createPublicKey(generateKey('ES256'));
    const [jwk] = (await toJwks([publicKey])).keys;
    expect(Buffer.from(jwk?.['x'] ?? '', 'base64url')).toHaveLength(32);
    found = Buffer.from(jwk?.['x'] ?? '', 'base64url')[0] === 0;
  }
});

test('publishes no private key, and no key without an algorithm', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await expect(toJwks([privateKey])).rejects.toThrow(TypeError);
  await expect(thumbprint(privateKey)).rejects.toThrow(TypeError);
  await expect(toJwks([createPublicKey(generateKey('ES256', 'P-384'))])).rejects.toThrow(TypeError);
});
