import { AppError } from '../platform/errors.ts';

/**
 * - `CERTIFICATE_NOT_FOUND`, `CERTIFICATE_REVOKED`: there is none of this id to revoke; it is revoked already
 * - `REVOCATION_REASON`: not a reason of RFC 5280 5.3.1 by which a certificate is revoked for good
 * - `CERTIFIER_MISSING`: no authority of this installation certifies keys of this kind
 * - `CHAIN_UNREADABLE`, `CHAIN_KEY_DIFFERS`, `CHAIN_PURPOSE`, `CHAIN_UNTRUSTED`: what an outside authority sent is not a certificate chain; is for
 *   another key; is not for seals; leads to no root that is trusted here, or does not hold now
 */
export class CertificationError extends AppError<
  | 'CERTIFICATE_NOT_FOUND'
  | 'CERTIFICATE_REVOKED'
  | 'REVOCATION_REASON'
  | 'CERTIFIER_MISSING'
  | 'CHAIN_UNREADABLE'
  | 'CHAIN_KEY_DIFFERS'
  | 'CHAIN_PURPOSE'
  | 'CHAIN_UNTRUSTED'
> {}
