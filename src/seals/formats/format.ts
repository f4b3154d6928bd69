/**
 * The port that every format of sealed document meets (PDF now, OFD next): bytes in, bytes out. A format knows where a signature
 * lies in a document and which bytes it covers; it knows nothing of keys, certificates or digests.
 */
import { AppError } from '../../platform/errors.ts';

/** A way of carrying seals in a document. Every function is pure: the time and the randomness come in with the arguments. */
export interface Format<Details extends object = object> {
  /** Media type of the documents, before and after sealing. */
  readonly mediaType: string;

  /**
   * Lays out a sealing and says which bytes its signature covers. The same arguments give the same bytes, so that a sealing can be
   * laid out anew wherever the signature arrives. Nothing of `document` is copied or changed; it must stay as it is until `assemble`.
   * @throws {FormatError} when the document cannot carry the sealing; nothing is to be signed then.
   */
  prepare(document: Uint8Array, sealing: Sealing): Prepared;

  /**
   * Finds every signature in the document and what each covers, without judging any of them.
   * @throws {FormatError} when the document as a whole cannot be read. What is wrong with one signature stands in its `problem`.
   */
  parse(document: Uint8Array): ParsedDocument<Details>;
}

/** One act of sealing, as far as the document shows it. */
export interface Sealing {
  /** The time that the sealer claims; a time-stamp inside the signature is what proves one. */
  readonly at: Date;
  /** Who seals: the organisation's name. */
  readonly name: string;
  readonly reason?: string;
  /** Where the sealing happens, as a place name. */
  readonly location?: string;
  /** The seal to be seen on a page. Without it the signature is there and shows nothing. */
  readonly visible?: { readonly drawing: Drawing; readonly place?: Place };
  /** Bytes kept free for the signature. Default 16 384: a chain of three, two time-stamps and their chains fit. */
  readonly signatureBytes?: number;
  /** 16 bytes never used before. They make the identity of this version of the document. */
  readonly nonce: Uint8Array;
}

/** Where on which page a seal stands. Left out: on the last page, 20 mm from its right edge and 25 mm from its lower edge. */
export interface Place {
  /** Counted from 1, in reading order. */
  readonly page: number | 'last';
  /** The corner of the page, as the reader sees it (cropped and turned), from which `x` and `y` are measured. */
  readonly corner: 'top-left' | 'top-right' | 'bottom-left' | 'bottom-right';
  /** Millimetres from the corner inward, to the same corner of the seal. */
  readonly x: number;
  /** Millimetres from the corner inward, to the same corner of the seal. */
  readonly y: number;
}

/** A sealing laid out, waiting for its signature. */
export interface Prepared {
  /** The bytes that the signature covers: the digest is taken over their concatenation. Views, not copies. */
  readonly covered: readonly Uint8Array[];
  /**
   * Puts the signature in and gives the sealed document, whole.
   * @param signature DER of a CMS SignedData whose message digest is that of `covered`.
   * @throws {FormatError} SIGNATURE_TOO_LARGE when it does not fit into `signatureBytes`.
   */
  assemble(signature: Uint8Array): Uint8Array;
}

/** What a document carries. */
export interface ParsedDocument<Details extends object = object> {
  /** In the order in which they were made, as far as their extent tells; those with a problem come last. */
  readonly signatures: readonly ParsedSignature<Details>[];
}

/** One signature, and either what it covers or why that cannot be told. Whoever reads it has to look at `problem` first. */
export type ParsedSignature<Details extends object = object> = Claims & Details & (Extent | Unsound);

/** What a signature says of itself. Nothing of it is proven until the signature is verified. */
export interface Claims {
  /** The name by which the document knows this signature; unique in a well-made document. */
  readonly fieldName: string;
  readonly claimedAt?: Date;
  readonly name?: string;
  readonly reason?: string;
  readonly location?: string;
  /** The page that shows the seal, counted from 1; absent when none does, or when the pages cannot be read. */
  readonly page?: number;
}

/** A signature whose place in the document is without fault. */
export interface Extent {
  readonly problem?: undefined;
  /** The signature as stored. Zero bytes of padding may follow the DER; its length field tells where it ends. */
  readonly contents: Uint8Array;
  /** The bytes that it covers, in order. Views of the document. */
  readonly covered: readonly Uint8Array[];
  /** It reaches from the first byte to the end of a whole revision of this document. */
  readonly coversWholeRevision: boolean;
  /** Nothing follows what it covers. */
  readonly coversWholeDocument: boolean;
  /** Bytes that were added after it. */
  readonly bytesAfter: number;
}

/** A signature that cannot be told to cover anything. */
export interface Unsound {
  readonly problem: { readonly code: ProblemCode; readonly message: string };
}

export type ProblemCode =
  | 'SIGNATURE_MALFORMED'
  | 'SIGNATURE_SHARED'
  | 'CONTENTS_MALFORMED'
  | 'BYTE_RANGE_MALFORMED'
  | 'BYTE_RANGE_OUTSIDE_FILE'
  | 'BYTE_RANGE_GAP_MISMATCH'
  | 'BYTE_RANGE_INCOMPLETE';

/** A picture as filled shapes, painted in order. Never changed once made: formats keep what they derive from it. */
export interface Drawing {
  readonly widthMm: number;
  readonly heightMm: number;
  readonly shapes: readonly Shape[];
}

/** An area filled by the nonzero winding rule; what no shape covers is transparent. */
export interface Shape {
  /** `#rrggbb`, sRGB. */
  readonly colour: string;
  readonly path: readonly PathCommand[];
}

/** Millimetres from the top left corner, y downward, absolute: move, line, quadratic curve, cubic curve, close. */
export type PathCommand =
  | readonly ['M', x: number, y: number]
  | readonly ['L', x: number, y: number]
  | readonly ['Q', x1: number, y1: number, x: number, y: number]
  | readonly ['C', x1: number, y1: number, x2: number, y2: number, x: number, y: number]
  | readonly ['Z'];

/** A document that cannot be sealed or read. */
export class FormatError extends AppError<FormatErrorCode> {}

export type FormatErrorCode =
  | 'NOT_A_PDF'
  | 'PDF_ENCRYPTED'
  | 'PDF_DAMAGED'
  | 'PDF_UNSUPPORTED'
  | 'PDF_BEYOND_LIMITS'
  | 'CHANGES_FORBIDDEN'
  | 'PAGE_NOT_FOUND'
  | 'PLACE_OUTSIDE_PAGE'
  | 'SIGNATURE_TOO_LARGE';
