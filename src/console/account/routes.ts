/** A person's own pages under `/account`, each subject in a file of its own. */
import Router from '@koa/router';
import type { AuditLog } from '../../audit/index.ts';
import type { Identity, Means } from '../../identity/index.ts';
import type { OwnAccount } from '../../oidc/index.ts';
import type { Organisations } from '../../organisations/index.ts';
import type { DualControl } from '../../dual-control/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import type { Db } from '../../platform/db/db.ts';
import type { Middleware, RequestState } from '../../platform/http/context.ts';
import type { Forms } from '../../platform/http/forms.ts';
import type { Pages } from '../../platform/http/pages.ts';
import { under } from '../../platform/http/under.ts';
import type { AccountId } from '../../platform/ids.ts';
import type { Logger } from '../../platform/logger.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { Seals } from '../../seals/index.ts';
import type { Portals, Resources } from '../../portals/index.ts';
import { closingPages } from './closing.ts';
import { contactPages } from './contacts.ts';
import { dataPages } from './data.ts';
import { createDoor, type Door } from './door.ts';
import { foundingPages } from './founding.ts';
import { historyPages } from './history.ts';
import { identityPages } from './identity.ts';
import { methodPages } from './methods.ts';
import { organisationPages } from './organisations.ts';
import { overviewPage } from './overview.ts';
import { passkeyPages } from './passkeys.ts';
import { portalPages } from './portals.ts';
import { reportPages } from './reports.ts';
import { sessionPages } from './sessions.ts';

export interface AccountParts {
  readonly clock: Clock;
  readonly dataKeys: DataKeys;
  readonly audit: AuditLog;
  readonly identity: Identity;
  /** What people can come by while they sign in. */
  readonly means: Means;
  readonly organisations: Organisations;
  /** For what takes two persons. */
  readonly dualControl: DualControl;
  readonly db: Db;
  readonly own: OwnAccount;
  readonly portals: Portals;
  readonly resources: Resources;
  readonly forms: Forms;
  readonly pages: Pages;
  readonly seals: Seals;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Closes an account for good: it signs in nowhere, and nobody's name leads to it. */
  closeAccount(accountId: AccountId): Promise<void>;
}

/** What every subject gets. */
export interface Subject extends AccountParts {
  readonly router: Router<RequestState>;
  readonly door: Door;
}

export function accountRoutes(parts: AccountParts): Middleware {
  const router = new Router<RequestState>({ prefix: '/account' });
  const subject: Subject = { ...parts, router, door: createDoor(parts) };
  overviewPage(subject);
  identityPages(subject);
  contactPages(subject, methodPages(subject));
  passkeyPages(subject);
  sessionPages(subject);
  portalPages(subject);
  foundingPages(subject);
  organisationPages(subject);
  historyPages(subject);
  reportPages(subject);
  dataPages(subject);
  closingPages(subject);
  return under('/account', router.routes() as unknown as Middleware);
}
