/** The errors of this room. Each names the clause that was broken; a chain or a seal that does not hold is a value, never an error. */
import { AppError } from '../platform/errors.ts';

/**
 * Bytes that are not the DER expected (ITU-T X.690). Codes, for the operator:
 * - `DER_TRUNCATED` an element runs past the end of what holds it
 * - `DER_LENGTH` a length that is indefinite, not minimal, or longer than four octets
 * - `DER_TAG` another element than the one that belongs there
 * - `DER_TRAILING` octets after the end
 * - `DER_DEPTH`, `DER_SIZE` nested deeper, or longer, than this program reads
 * - `DER_VALUE` contents that the type does not allow
 * - `DER_ORDER` a SET OF that is not sorted
 */
export class DerError extends AppError<
  | 'DER_TRUNCATED'
  | 'DER_LENGTH'
  | 'DER_TAG'
  | 'DER_TRAILING'
  | 'DER_DEPTH'
  | 'DER_SIZE'
  | 'DER_VALUE'
  | 'DER_ORDER'
> {
  /** The standard and its clause, for example `X.690 10.1`. */
  readonly clause: string;
  /** Where, in octets from the start of the outermost bytes. */
  readonly offset: number;

  constructor(code: DerError['code'], clause: string, offset: number, problem: string) {
    super(code, described(problem, clause, offset));
    this.clause = clause;
    this.offset = offset;
  }
}

/**
 * DER of the right shape that X.509 does not allow, or a name that cannot be written. `X509_KEY`: a public key that
 * is broken or of an unknown kind. `PEM_MALFORMED`: text that is not RFC 7468.
 */
export class X509Error extends AppError<
  | 'X509_VERSION'
  | 'X509_SERIAL_NUMBER'
  | 'X509_ALGORITHM'
  | 'X509_NAME'
  | 'X509_KEY'
  | 'X509_EXTENSION'
  | 'PEM_MALFORMED'
> {
  /** The standard and its clause, for example `RFC 5280 4.1.2.2`. */
  readonly clause: string;
  /** Where, in octets from the start of the outermost bytes; `undefined` where nothing was being read. */
  readonly offset: number | undefined;

  constructor(
    code: X509Error['code'],
    clause: string,
    problem: string,
    options?: ErrorOptions & { readonly offset?: number | undefined },
  ) {
    super(code, described(problem, clause, options?.offset), options);
    this.clause = clause;
    this.offset = options?.offset;
  }
}

/**
 * A CMS message that is not one CAdES signature. `CMS_CONTENT_TYPE`: not SignedData. `CMS_SIGNER_COUNT`: none or several signers.
 * `CMS_ATTRIBUTES`: signed attributes missing, repeated, or with more than one value.
 */
export class CmsError extends AppError<
  'CMS_CONTENT_TYPE' | 'CMS_VERSION' | 'CMS_SIGNER_COUNT' | 'CMS_CERTIFICATES' | 'CMS_ATTRIBUTES'
> {
  /** The standard and its clause, for example `RFC 5652 5.1`. */
  readonly clause: string;
  /** Where, in octets from the start of the outermost bytes. */
  readonly offset: number;

  constructor(code: CmsError['code'], clause: string, offset: number, problem: string) {
    super(code, described(problem, clause, offset));
    this.clause = clause;
    this.offset = offset;
  }
}

/**
 * A message between an authority and those who rely on it that its standard does not allow: a certification request (RFC 2986), a CRL
 * (RFC 5280 5), an OCSP request or response (RFC 6960), a time-stamp request, response or TSTInfo (RFC 3161).
 */
export class PkiMessageError extends AppError<
  | 'PKCS10_VERSION'
  | 'PKCS10_ATTRIBUTES'
  | 'CRL_VERSION'
  | 'CRL_ALGORITHM'
  | 'CRL_ENTRY'
  | 'CRL_EXTENSION'
  | 'OCSP_VERSION'
  | 'OCSP_LIMIT'
  | 'OCSP_NONCE'
  | 'OCSP_STATUS'
  | 'OCSP_RESPONSE_TYPE'
  | 'TSP_VERSION'
  | 'TSP_STATUS'
  | 'TSP_CONTENT'
> {
  /** The standard and its clause, for example `RFC 6960 4.1.1`. */
  readonly clause: string;
  /** Where, in octets from the start of the outermost bytes. */
  readonly offset: number;

  constructor(code: PkiMessageError['code'], clause: string, offset: number, problem: string) {
    super(code, described(problem, clause, offset));
    this.clause = clause;
    this.offset = offset;
  }
}

function described(problem: string, clause: string, offset: number | undefined): string {
  return offset === undefined ? `${problem} (${clause})` : `${problem}, at octet ${offset} (${clause})`;
}
