/** PDF with PAdES signatures: the door. */
import type { Format } from '../format.ts';
import { type PdfDetails, parse } from './parse.ts';
import { prepare } from './sign.ts';

export type { ByteRange, PdfDetails, PdfSignature } from './parse.ts';

export const pdf: Format<PdfDetails> = { mediaType: 'application/pdf', prepare, parse };
