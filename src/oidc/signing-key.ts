/** Lets oidc-provider sign with a key that stays in custody: it is given the public half and, while the key signs, a way to ask for signatures. */
import type { KeyObject } from 'node:crypto';
import { ExternalSigningKey } from 'oidc-provider';
import type { PublishedKey } from './token-keys.ts';

export class CustodySigningKey extends ExternalSigningKey {
  readonly #key: PublishedKey;

  constructor(key: PublishedKey) {
    super();
    this.#key = key;
  }

  // The library sets both again when it reads the key set; what custody says stands.
  override get kid(): string {
    return this.#key.kid;
  }
  override set kid(_value: string) {}

  override get alg(): string {
    return this.#key.alg;
  }
  override set alg(_value: string) {}

  override keyObject(): KeyObject {
    return this.#key.publicKey;
  }

  override async sign(data: Uint8Array): Promise<Uint8Array> {
    if (!this.#key.signer) throw new TypeError('a key that does not sign was asked to');
    return this.#key.signer.sign(data);
  }
}
