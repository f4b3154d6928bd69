/** What a request still lacks, and its granting. */
import type Provider from 'oidc-provider';

export type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

/** As oidc-provider's consent prompt puts it into `prompt.details`. */
interface MissingDetails {
  readonly missingOIDCScope?: readonly string[];
  readonly missingResourceScopes?: Readonly<Record<string, readonly string[]>>;
}

/** The scopes that a person is asked for, those of resources included. */
export function missingScopes(interaction: Interaction): string[] {
  const details = interaction.prompt.details as MissingDetails;
  return [...(details.missingOIDCScope ?? []), ...Object.values(details.missingResourceScopes ?? {}).flat()];
}

/** Adds what is missing to the grant of this account and portal. @returns the grant's id. */
export async function grantMissing(
  provider: Provider,
  interaction: Interaction,
  accountId: string,
): Promise<string> {
  const details = interaction.prompt.details as MissingDetails;
  const existing =
    interaction.grantId === undefined ? undefined : await provider.Grant.find(interaction.grantId);
  const grant =
    existing ?? new provider.Grant({ accountId, clientId: String(interaction.params['client_id']) });
  for (const scope of details.missingOIDCScope ?? []) grant.addOIDCScope(scope);
  for (const [resource, scopes] of Object.entries(details.missingResourceScopes ?? {}))
    for (const scope of scopes) grant.addResourceScope(resource, scope);
  return grant.save();
}
