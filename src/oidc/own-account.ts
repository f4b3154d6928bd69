/** What a person sees and ends of their own, for pages that are not the provider's: sessions, portals, and what those were given. */
import type { AuditLog } from '../audit/index.ts';
import type { Factors, Showing } from '../identity/index.ts';
import type { Db } from '../platform/db/db.ts';
import type { Context } from '../platform/http/context.ts';
import type { Acting } from '../organisations/index.ts';
import type { Choice } from './acting.ts';
import type { Consents, PortalAgreement } from './consents.ts';
import type { SignOutEverywhere } from './generation.ts';
import type { Guard } from './guard.ts';
import type { sendToSignIn } from './own-session.ts';
import type { Releases } from './releases.ts';
import type { Sessions, Which } from './sessions.ts';
import type { Subjects } from './subjects.ts';

/** The session of the browser that asks. */
export interface OwnSession {
  readonly accountId: string | undefined;
  /** Stays the same while the session goes on, whatever its id. Secret. */
  readonly uid: string;
  readonly factors: Factors;
}

export interface OwnAccount {
  session(ctx: Context): Promise<OwnSession>;
  /** Sends a person to sign in and back to `path`; see `sendToSignIn`. */
  sendToSignIn(ctx: Context, path: string, options?: Parameters<typeof sendToSignIn>[3]): void;
  /** Adds to the session what its person has just shown on a page of ours, such as a factor that they set up there. */
  noteShowing(ctx: Context, showing: Showing): Promise<void>;
  /** For whom the person of this browser's session has said that they act, at portals that they come to from now on. */
  acting(ctx: Context): Promise<Choice | undefined>;
  /** Says so. @returns false: the session is not this account's. */
  switchActing(ctx: Context, accountId: string, as: Acting | null): Promise<boolean>;
  readonly sessions: Pick<Sessions, 'list'>;
  /** Ends sessions of the account. @param reason Closed word for the audit log. @returns how many there were. */
  endSessions(accountId: string, which: Which, reason: string): Promise<number>;
  /** Ends every session of the account, the asking browser's own as well. */
  endAllSessions(accountId: string, reason: string): Promise<void>;
  /** Ends every session of the account but the asking browser's own, which gets a new id. */
  endOtherSessions(ctx: Context, reason: string): Promise<void>;
  /** Counts what could be guessed at, and knows devices. */
  readonly guard: Guard;
  readonly releases: Pick<Releases, 'of' | 'byPortal'>;
  /** What each portal was given by agreement. */
  agreements(accountId: string): Promise<PortalAgreement[]>;
  /** The numbers by which portals know the account, by sector. */
  subjects: Subjects['all'];
  /** Whether a portal knows the account: by agreement, by what it got, or by a session. */
  knows(accountId: string, clientId: string): Promise<boolean>;
  /** Takes back all that a portal was given: no token of it works any more, and it is told to sign the person out. */
  withdraw(accountId: string, clientId: string): Promise<void>;
}

export function createOwnAccount(parts: {
  readonly db: Db;
  readonly audit: AuditLog;
  readonly sessions: Sessions;
  readonly consents: Consents;
  readonly releases: Releases;
  readonly subjects: Subjects;
  readonly guard: Guard;
  readonly signOutEverywhere: SignOutEverywhere;
  readonly session: OwnAccount['session'];
  readonly sendToSignIn: OwnAccount['sendToSignIn'];
  readonly noteShowing: OwnAccount['noteShowing'];
  readonly acting: OwnAccount['acting'];
  readonly switchActing: OwnAccount['switchActing'];
  /** Gives the asking browser's session a new id. */
  readonly renew: (ctx: Context) => Promise<void>;
}): OwnAccount {
  const { db, audit, sessions, consents, releases, subjects } = parts;

  return {
    session: parts.session,
    sendToSignIn: parts.sendToSignIn,
    noteShowing: parts.noteShowing,
    acting: parts.acting,
    switchActing: parts.switchActing,
    sessions,
    guard: parts.guard,
    releases,
    agreements: consents.all,
    subjects: subjects.all,

    async endSessions(accountId, which, reason) {
      const ended = await sessions.end(accountId, which);
      if (ended > 0)
        await db.transaction((tx) =>
          audit.record(tx, {
            type: 'account.sessions-ended',
            actor: accountId,
            subject: accountId,
            detail: { reason, sessions: ended },
          }),
        );
      return ended;
    },

    endAllSessions: (accountId, reason) => parts.signOutEverywhere(accountId, reason, accountId),

    async endOtherSessions(ctx, reason) {
      const { accountId, uid } = await parts.session(ctx);
      if (accountId === undefined) return;
      await parts.signOutEverywhere(accountId, reason, accountId, uid);
      await parts.renew(ctx);
    },

    async knows(accountId, clientId) {
      const [agreements, got, living] = await Promise.all([
        consents.all(accountId),
        releases.byPortal(accountId),
        sessions.list(accountId, undefined),
      ]);
      return (
        [...agreements, ...got].some((each) => each.clientId === clientId) ||
        living.some(({ clientIds }) => clientIds.includes(clientId))
      );
    },

    async withdraw(accountId, clientId) {
      // First, so that nothing is said to be withdrawn of which a token still works; and again for what was begun before the book knew.
      await sessions.endPortal(accountId, clientId);
      await consents.withdraw(accountId, clientId);
      await sessions.endPortal(accountId, clientId);
    },
  };
}
