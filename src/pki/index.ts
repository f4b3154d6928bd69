/** The door of `pki`: keys' algorithms, DER, certificates and their paths, CMS signatures, JOSE keys. Bytes in, bytes out. */
export {
  algorithmOf,
  signingOptions,
  suits,
  verifySignature,
  type DigestAlgorithm,
  type SignatureAlgorithm,
  type SigningOptions,
} from './algorithms.ts';
export type { Signer } from './signer.ts';

export {
  DEFAULT_SIGNER_ID,
  isSm2,
  sm2Digest,
  sm2PrivateKey,
  sm2Z,
  verifySm2,
  verifySm2Digest,
  type Sm2PrivateKey,
} from './sm2.ts';

export * as der from './der.ts';
export { CmsError, DerError, X509Error } from './errors.ts';

export { distinguishedName, type AttributeType, type Name, type RelativeDistinguishedName } from './name.ts';
export { matchesName, parseName } from './name-match.ts';
export { keyIdentifier } from './public-key.ts';
export type {
  AuthorityInfoAccess,
  BasicConstraints,
  Extensions,
  ExtKeyUsage,
  KeyUsage,
  SubjectAltName,
} from './extensions.ts';
export { buildCertificate, parseCertificate, type Certificate, type CertificateTemplate } from './x509.ts';
export { derToPem, pemToDer, type PemLabel } from './pem.ts';
export { buildPath, type PathFailure, type PathFailureReason, type PathResult } from './path.ts';

export {
  signedAttributes,
  type Attribute,
  type ESSCertIDv2,
  type IssuerAndSerialNumber,
  type SignedAttributes,
} from './cms-attributes.ts';
export { withoutZeroPadding } from './der-reader.ts';
export { parseSignedData, signedData, type SignedData, type SignerInfo } from './cms.ts';
export { verifySignerInfo, type SignerInfoVerdict } from './cms-verify.ts';

export { thumbprint, toJwks, type PublicJwk } from './jose.ts';
