/** Verification of the one signer of a CMS message (RFC 5652 5.6, RFC 5035 section 5): each check by itself. */
import { createHash } from 'node:crypto';
import { algorithmOf, suits, verifySignature } from './algorithms.ts';
import type { SignedData, SignerInfo } from './cms.ts';
import type { Certificate } from './x509.ts';

/** What holds of a signer. Whether the certificate is to be trusted is another question: see `buildPath`. */
export interface SignerInfoVerdict {
  /** The signer's certificate, if it is in the message. */
  readonly signerCertificate: Certificate | undefined;
  /** The attribute messageDigest is the digest of the content (RFC 5652 5.6). */
  readonly messageDigest: boolean;
  /** The attribute contentType is the type of the content (RFC 5652 5.3). */
  readonly contentType: boolean;
  /** The first certificate that the attribute signingCertificateV2 names is the signer's (RFC 5035 section 5). */
  readonly signingCertificate: boolean;
  /** Digest and signature algorithm are known, agree with each other and with what the message announces, and suit the certificate's key. */
  readonly algorithms: boolean;
  /** The signature over the attributes is by the certificate's key. */
  readonly signature: boolean;
  /** All of these. */
  readonly valid: boolean;
}

/**
 * Checks the signer of a message.
 * @param digestOfContent Digest, under `signed.signerInfo.digestAlgorithm`, of the content that the caller holds to be signed: what the
 * message encapsulates, or the document for a detached signature. It is the only content that the verdict speaks of.
 */
export function verifySignerInfo(signed: SignedData, digestOfContent: Uint8Array): SignerInfoVerdict {
  const { signerInfo, eContentType } = signed;
  const { signedAttributes } = signerInfo;
  const signerCertificate = findSigner(signed);
  const checks = {
    messageDigest: signedAttributes.messageDigest.equals(digestOfContent),
    contentType: signedAttributes.contentType === eContentType,
    signingCertificate: signerCertificate !== undefined && isNamed(signerCertificate, signerInfo),
    algorithms: signerCertificate !== undefined && algorithmsAgree(signed, signerCertificate),
    signature: signerCertificate !== undefined && isSignedBy(signerCertificate, signerInfo),
  };
  return { signerCertificate, ...checks, valid: Object.values(checks).every(Boolean) };
}

/** Of several certificates that `sid` fits, the one that the signer signed for; the rest may have been added by anyone. */
function findSigner({ certificates, signerInfo }: SignedData): Certificate | undefined {
  const candidates = certificates.filter((certificate) => fitsSid(certificate, signerInfo));
  return candidates.find((certificate) => isNamed(certificate, signerInfo)) ?? candidates[0];
}

function fitsSid(certificate: Certificate, { sid }: SignerInfo): boolean {
  if ('subjectKeyIdentifier' in sid) {
    const { subjectKeyIdentifier } = certificate.extensions;
    return subjectKeyIdentifier !== undefined && sid.subjectKeyIdentifier.equals(subjectKeyIdentifier);
  }
  return certificate.issuer.der.equals(sid.issuer) && certificate.serialNumber.equals(sid.serialNumber);
}

function isNamed(certificate: Certificate, { signedAttributes }: SignerInfo): boolean {
  const [own] = signedAttributes.signingCertificateV2 ?? [];
  if (!own?.hashAlgorithm) return false;
  const { issuerSerial } = own;
  return (
    createHash(own.hashAlgorithm).update(certificate.der).digest().equals(own.certHash) &&
    (!issuerSerial ||
      (issuerSerial.issuer.equals(certificate.issuer.der) &&
        issuerSerial.serialNumber.equals(certificate.serialNumber)))
  );
}

function algorithmsAgree(signed: SignedData, certificate: Certificate): boolean {
  const { digestAlgorithm, signatureAlgorithm } = signed.signerInfo;
  return (
    digestAlgorithm !== undefined &&
    signatureAlgorithm !== undefined &&
    signed.digestAlgorithms.includes(digestAlgorithm) &&
    algorithmOf(signatureAlgorithm).digest === digestAlgorithm &&
    suits(signatureAlgorithm, certificate.publicKey)
  );
}

function isSignedBy(certificate: Certificate, signerInfo: SignerInfo): boolean {
  const { signatureAlgorithm, signedAttributes, signature } = signerInfo;
  return (
    signatureAlgorithm !== undefined &&
    verifySignature(signatureAlgorithm, certificate.publicKey, signedAttributes.der, signature)
  );
}
