/**
 * The port to whoever can say whom an organisation is represented by: the register of enterprises, of public bodies, of associations. Drivers
 * stand beside it.
 */
import type { OrganisationKind } from '../unified-social-credit-code.ts';

/** Who asks, as an authority confirmed them. */
export interface NaturalPerson {
  readonly name: string;
  readonly document: {
    readonly kind: string;
    readonly number: string;
    readonly issuingCountry?: string | undefined;
  };
}

export interface RepresentativeClaim {
  /** The same for every try of one question. */
  readonly requestId: string;
  readonly unifiedSocialCreditCode: string;
  readonly person: NaturalPerson;
}

/** Whether the organisation exists, or is represented by another, is never told apart: whoever asks learns of themselves alone. */
export type RegisterAnswer =
  | {
      readonly kind: 'confirmed';
      readonly reference: string;
      readonly organisation: {
        readonly name: string;
        readonly kind?: OrganisationKind | undefined;
        readonly region?: string | undefined;
      };
    }
  | { readonly kind: 'refused' }
  | { readonly kind: 'unavailable' };

export interface OrganisationRegister {
  /** Closed word for evidence, such as `market-regulation`. */
  readonly id: string;
  /** By language tag; `zh-CN` is always there. */
  readonly name: Readonly<Record<string, string>>;
  /** Whether the organisations in it are invented. Said wherever it is used. */
  readonly fictional: boolean;
  /** Whether a person is the legal representative of an organisation that exists and does business. */
  confirm(claim: RepresentativeClaim): Promise<RegisterAnswer>;
}
