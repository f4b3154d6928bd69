/**
 * Tells the holder of an account, at every address that was shown to be theirs, what happens to it. It is told by who records it: nothing of
 * this kind can be recorded and not told.
 */
import type { AuditEvent, AuditEventType, AuditLog } from '../audit/index.ts';
import { createCipher } from '../platform/cipher.ts';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Queryable } from '../platform/db/db.ts';
import { IDENTIFIERS } from './accounts.ts';
import type { IdentifierKind } from './identifiers.ts';
import { addressOf, type Address } from './messages/address.ts';
import type { MessageSender } from './messages/messages.ts';
import type { MessageKind } from './messages/texts.ts';

export interface Notices {
  /** The audit log for whatever changes accounts. */
  readonly audit: AuditLog;
  /**
   * Sends a notice, in the transaction of its cause. It says when it was by itself.
   * @param besides An address that is the holder's no more.
   */
  tell(
    tx: Queryable,
    accountId: string,
    kind: MessageKind,
    parameters?: Readonly<Record<string, string | number>>,
    besides?: Address,
  ): Promise<void>;
}

const TOLD: Readonly<Partial<Record<AuditEventType, MessageKind>>> = {
  'account.password-changed': 'passwordChanged',
  'account.factor-added': 'factorAdded',
  'account.factor-removed': 'factorRemoved',
  'passkey.registered': 'factorAdded',
  'passkey.removed': 'factorRemoved',
  'passkey.suspended': 'passkeySuspended',
  'account.recovery-codes-made': 'recoveryCodesMade',
  'account.recovery-code-used': 'recoveryCodeUsed',
  'account.misuse-reported': 'misuseReported',
  'account.exported': 'dataExported',
};

export function createNotices(parts: {
  audit: AuditLog;
  clock: Clock;
  dataKeys: DataKeys;
  messages: MessageSender;
}): Notices {
  const { audit, clock, messages } = parts;
  const cipher = createCipher(parts.dataKeys, IDENTIFIERS.values.value.purpose);

  async function recipientsOf(
    tx: Queryable,
    accountId: string,
  ): Promise<{ addresses: Address[]; language: string }> {
    const rows = await tx.query<{ kind: IdentifierKind; value: Uint8Array; language: string | null }>(
      `SELECT i.kind, i.value, a.language FROM accounts a JOIN account_identifiers i ON i.account_id = a.id
        WHERE a.id = $1 AND i.verified_at IS NOT NULL AND i.kind <> 'username' ORDER BY i.kind`,
      [accountId],
    );
    const addresses = rows.flatMap(({ kind, value }) => {
      const address = addressOf({
        kind,
        value: Buffer.from(cipher.decrypt(value, accountId)).toString('utf8'),
      });
      return address && messages.channels.has(address.channel) ? [address] : [];
    });
    return { addresses, language: rows[0]?.language ?? '' };
  }

  const tell: Notices['tell'] = async (tx, accountId, kind, parameters = {}, besides) => {
    const { addresses, language } = await recipientsOf(tx, accountId);
    const others = besides && messages.channels.has(besides.channel) ? [besides] : [];
    for (const { channel, value } of [...addresses, ...others])
      await messages.send(
        {
          channel,
          to: value,
          kind,
          language,
          parameters: { ...parameters, at: clock.now().toISOString() },
        },
        tx,
      );
  };

  async function tellOf(tx: Queryable, { type, subject, detail }: AuditEvent): Promise<void> {
    const kind = TOLD[type];
    if (kind !== undefined) await tell(tx, subject, kind, 'left' in detail ? { left: detail.left } : {});
  }

  return {
    tell,
    audit: {
      ...audit,
      async record(tx, event) {
        await tellOf(tx, event);
        return audit.record(tx, event);
      },
      async recordAll(tx, events) {
        for (const event of events) await tellOf(tx, event);
        return audit.recordAll(tx, events);
      },
    },
  };
}
