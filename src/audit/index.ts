/** The audit room's door: `record` in the transaction of the change, `check` by anyone. */
export { createAuditLog, type AuditLog, type AuditReceipt, type ChainedEntry } from './log.ts';
export { checkChain, type ChainFinding } from './check.ts';
export type { AuditEvent, AuditEvents, AuditEventType } from './events.ts';
