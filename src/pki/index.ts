/** The door of `pki`: keys' algorithms, DER, certificates and their paths, CMS signatures, JOSE keys. Bytes in, bytes out. */
export {
  algorithmOf,
  digestAlgorithmIdentifier,
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
export { CmsError, DerError, PkiMessageError, X509Error } from './errors.ts';

export { distinguishedName, type AttributeType, type Name, type RelativeDistinguishedName } from './name.ts';
export { matchesName, parseName } from './name-match.ts';
export { keyIdentifier } from './public-key.ts';
export { keyPurposes } from './extensions.ts';
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
export {
  buildCertificationRequest,
  parseCertificationRequest,
  verifyPossession,
  type CertificationRequest,
} from './pkcs10.ts';
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

export {
  buildCrl,
  judgeCrl,
  parseCrl,
  problemOfCrl,
  revocationReasons,
  type Crl,
  type CrlProblem,
  type CrlTemplate,
  type CrlVerdict,
  type RevocationReason,
  type RevokedCertificate,
} from './crl.ts';
export {
  buildOcspRequest,
  buildOcspResponse,
  certIdOf,
  isNamedBy,
  issuerHashes,
  judgeOcspResponse,
  ocspErrorResponse,
  parseOcspRequest,
  parseOcspResponse,
  type BasicOcspResponse,
  type CertId,
  type CertIdDigest,
  type CertStatus,
  type OcspProblem,
  type OcspRequest,
  type OcspResponse,
  type OcspVerdict,
  type SingleResponse,
} from './ocsp.ts';
export {
  buildTimeStampRequest,
  buildTimeStampToken,
  imprintFits,
  judgeTimeStamp,
  parseTimeStampRequest,
  parseTimeStampResponse,
  parseTimeStampToken,
  timeStampRejection,
  timeStampResponse,
  type Accuracy,
  type MessageImprint,
  type PkiFailureInfo,
  type TimeStampRequest,
  type TimeStampToken,
  type TimeStampVerdict,
} from './timestamp.ts';

export { thumbprint, toJwks, type PublicJwk } from './jose.ts';
