/** SM2 signatures of random keys over random messages: each is judged twice, as it is and with one bit tipped over. */
import { createPublicKey, generateKeyPairSync, randomBytes, randomInt } from 'node:crypto';
import { sm2PrivateKey, verifySm2, type Sm2PrivateKey } from '../../src/pki/index.ts';

/** Signatures of one key, so that both ways of verifying are met: without tables of the key, and with them. */
const OF_ONE_KEY = 40;

/** @returns How many signatures were made and judged rightly: all. @throws at the first that was not. */
export function randomSignatures(count: number): number {
  let key: Sm2PrivateKey | undefined;
  for (let i = 0; i < count; i++) {
    if (!key || i % OF_ONE_KEY === 0)
      key = sm2PrivateKey(
        generateKeyPairSync('ec', { namedCurve: 'SM2' }).privateKey.export({ format: 'der', type: 'pkcs8' }),
      );
    const spki = key.publicKey.export({ format: 'der', type: 'spki' });
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    const message = randomBytes(randomInt(200));
    const signature = key.sign(message);
    const bad = Buffer.from(signature);
    const place = randomInt(bad.length);
    bad[place] = (bad[place] ?? 0) ^ (1 << randomInt(8));
    if (!verifySm2(publicKey, message, signature))
      throw new Error(
        `refused: ${spki.toString('hex')} ${message.toString('hex')} ${signature.toString('hex')}`,
      );
    if (verifySm2(publicKey, message, bad))
      throw new Error(`accepted: ${spki.toString('hex')} ${message.toString('hex')} ${bad.toString('hex')}`);
  }
  return count;
}
