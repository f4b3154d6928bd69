/** Walks the whole chain and names the first thing that is wrong. */
import { GENESIS, linkOf } from './chain.ts';
import type { AuditLog } from './log.ts';

export interface ChainFinding {
  readonly seq: number;
  readonly problem: 'MISSING' | 'CHANGED' | 'OUT_OF_ORDER' | 'TRUNCATED';
}

const PAGE = 1000;

/** @returns how many entries were walked, and the first finding; none means that every row is as it was written. */
export async function checkChain(
  log: AuditLog,
): Promise<{ entries: number; finding: ChainFinding | undefined }> {
  // The head is read first: entries appended while the walk is under way lie beyond it.
  const head = await log.head();
  let previous: Uint8Array = GENESIS;
  let seq = 0;
  while (seq < head.seq) {
    const page = await log.after(seq, Math.min(PAGE, head.seq - seq));
    if (page.length === 0) return { entries: seq, finding: { seq: seq + 1, problem: 'TRUNCATED' } };
    for (const chained of page) {
      const expected = { seq: seq + 1, previous: hex(previous), hash: hex(linkOf(previous, chained.entry)) };
      if (chained.entry.seq !== expected.seq)
        return { entries: seq, finding: { seq: expected.seq, problem: 'MISSING' } };
      if (chained.previous !== expected.previous)
        return { entries: seq, finding: { seq: expected.seq, problem: 'OUT_OF_ORDER' } };
      if (chained.hash !== expected.hash)
        return { entries: seq, finding: { seq: expected.seq, problem: 'CHANGED' } };
      previous = Buffer.from(expected.hash, 'hex');
      seq = expected.seq;
    }
  }
  return { entries: seq, finding: head.hash === hex(previous) ? undefined : { seq, problem: 'CHANGED' } };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
