/** The organisations room's door. */
export {
  createOrganisations,
  OrganisationError,
  type Membership,
  type Organisation,
  type Organisations,
  type Role,
  type Unit,
} from './organisations.ts';
export { isUnifiedSocialCreditCode } from './unified-social-credit-code.ts';
