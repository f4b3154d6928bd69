/** Rich authorization requests (RFC 9396): single acts that a person is asked to agree to. Pure. */
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { z } from 'zod';

/** Setting one seal to one document, named by its digest. */
export const SEAL_ACT = 'urn:yinxin:seal-act';
export const RICH_TYPES: readonly string[] = [SEAL_ACT];

const sealAct = z
  .object({
    type: z.literal(SEAL_ACT),
    locations: z.array(z.string().max(500)).max(5).optional(),
    /** The seal. */
    identifier: z.string().min(1).max(64),
    /** SHA-256 of the document, hexadecimal. */
    document_digest: z.string().regex(/^[0-9a-f]{64}$/),
    /** What the person is shown as the document's name. */
    document_name: z.string().trim().min(1).max(120),
    purpose: z.string().trim().min(1).max(200).optional(),
  })
  .strict();
export type SealAct = z.output<typeof sealAct>;

/** @throws {errors.InvalidAuthorizationDetails} naming the member that is wrong. */
export function validateRich(_ctx: KoaContextWithOIDC, detail: unknown): void {
  const result = sealAct.safeParse(detail);
  if (result.success) return;
  const [issue] = result.error.issues;
  throw new errors.InvalidAuthorizationDetails(
    `${issue?.path.join('.') ?? 'authorization_details'}: ${issue?.message ?? 'is not valid'}`,
  );
}

/** The acts in a checked `authorization_details` parameter. */
export function actsOf(parameter: unknown): SealAct[] {
  if (typeof parameter !== 'string') return [];
  return z.array(sealAct).parse(JSON.parse(parameter));
}
