/** Lets oidc-provider sign with a key that stays in custody: it is given the public half and a way to ask for signatures. */
import type { KeyObject } from 'node:crypto';
import { ExternalSigningKey } from 'oidc-provider';
import type { Signer } from '../pki/index.ts';

export class CustodySigningKey extends ExternalSigningKey {
  readonly #signer: Signer;
  readonly #kid: string;

  /** @param kid Key ID in the JWK Set: the key's thumbprint (RFC 7638). */
  constructor(signer: Signer, kid: string) {
    super();
    this.#signer = signer;
    this.#kid = kid;
  }

  // The library sets both again when it reads the key set; what custody says stands.
  override get kid(): string {
    return this.#kid;
  }
  override set kid(_value: string) {}

  override get alg(): string {
    return this.#signer.algorithm;
  }
  override set alg(_value: string) {}

  override keyObject(): KeyObject {
    return this.#signer.publicKey;
  }

  override sign(data: Uint8Array): Promise<Uint8Array> {
    return this.#signer.sign(data);
  }
}
