/** What a request still lacks, and its granting. */
import type Provider from 'oidc-provider';
import { addScopes, type ScopesByResource } from '../consents.ts';

export type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

/** What a person is asked for, as oidc-provider's consent prompt puts it into `prompt.details`. */
export function missingScopes(interaction: Interaction): ScopesByResource {
  const details = interaction.prompt.details as {
    missingOIDCScope?: readonly string[];
    missingResourceScopes?: ScopesByResource;
  };
  return { '': details.missingOIDCScope ?? [], ...details.missingResourceScopes };
}

/** Adds `scopes` to the grant of this account and portal. @returns the grant's id. */
export async function grantScopes(
  provider: Provider,
  interaction: Interaction,
  accountId: string,
  scopes: ScopesByResource,
): Promise<string> {
  const existing =
    interaction.grantId === undefined ? undefined : await provider.Grant.find(interaction.grantId);
  const grant =
    existing ?? new provider.Grant({ accountId, clientId: String(interaction.params['client_id']) });
  addScopes(grant, scopes);
  return grant.save();
}
