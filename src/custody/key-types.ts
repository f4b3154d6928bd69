/** The types of keys that can be had, for every owner and purpose. */
import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

export const KEY_TYPES = ['SM2', 'P-256', 'P-384', 'RSA-2048', 'RSA-3072', 'RSA-4096', 'Ed25519'] as const;

export type KeyType = (typeof KEY_TYPES)[number];

const generatePair = promisify(generateKeyPair);

/** A pair of keys made by OpenSSL, off the event loop. */
export async function makePair(keyType: KeyType): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  switch (keyType) {
    case 'P-256':
    case 'P-384':
      return generatePair('ec', { namedCurve: keyType });
    case 'Ed25519':
      return generatePair('ed25519', {});
    case 'RSA-2048':
    case 'RSA-3072':
    case 'RSA-4096':
      return generatePair('rsa', { modulusLength: Number(keyType.slice(4)) });
    case 'SM2': {
      // As made by Node the key would sign ECDSA over the curve of SM2. Read back, it is one of SM2.
      const made = await generatePair('ec', { namedCurve: 'SM2' });
      const key = made.privateKey.export({ format: 'der', type: 'pkcs8' });
      return {
        publicKey: made.publicKey,
        privateKey: createPrivateKey({ key, format: 'der', type: 'pkcs8' }),
      };
    }
  }
}
