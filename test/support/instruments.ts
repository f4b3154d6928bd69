/** Stands between the program and its ports: counts what goes through, and lets a chosen call fail. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { Port, Tools } from '../../src/app.ts';
import type { Db, Transaction } from '../../src/platform/db/db.ts';

export interface Instruments {
  readonly through: NonNullable<Tools['through']>;
  /** What the requests that `work` makes sent through, in its order: port, call, and of SQL what it does to what. */
  during<T>(work: () => Promise<T>): Promise<{ result: T; calls: string[] }>;
  /** Lets the call at this place of those that `work` makes fail, as if its store had gone away. @throws there was no such call. */
  breaking<T>(place: number, work: () => Promise<T>): Promise<T>;
}

const request = new AsyncLocalStorage<object>();
subscribe('http.server.request.start', () => request.enterWith({}));

export function createInstruments(): Instruments {
  let calls: string[] | undefined;
  let countdown: number | undefined;

  function pass(call: string): void {
    // What goes on in the background belongs to no request.
    if (request.getStore() === undefined) return;
    calls?.push(call);
    if (countdown === undefined) return;
    countdown -= 1;
    if (countdown >= 0) return;
    countdown = undefined;
    throw Object.assign(new Error(`broken: ${call}`), { code: 'ECONNREFUSED' });
  }

  /** Calls of a port by their name; what SQL says is told apart by its first words. */
  function wrap<T extends object>(port: Port, made: T): T {
    return new Proxy(made, {
      get(target, name, receiver) {
        const member: unknown = Reflect.get(target, name, receiver);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => {
          const call = member as (...given: unknown[]) => unknown;
          if (port === 'database' && name === 'transaction') {
            const [work] = args as [(tx: Transaction) => Promise<unknown>];
            pass('database begin');
            return (target as Db).transaction(async (tx) => {
              const result = await work(wrap(port, tx));
              pass('database commit');
              return result;
            });
          }
          if (['listen', 'close', 'afterCommit'].includes(String(name)) || isBackground(args[0]))
            return call.apply(target, args);
          try {
            pass(`${port} ${String(name)}${port === 'database' ? ` ${summary(String(args[0]))}` : ''}`);
          } catch (error) {
            // Of what is sent without waiting for an answer nobody would hear it otherwise.
            if (name === 'send') throw error;
            return Promise.reject(error);
          }
          return call.apply(target, args);
        };
      },
    });
  }

  return {
    through: wrap,
    async during(work) {
      const seen: string[] = [];
      calls = seen;
      try {
        return { result: await work(), calls: seen };
      } finally {
        calls = undefined;
      }
    },
    async breaking(place, work) {
      countdown = place;
      try {
        const result = await work();
        if (countdown !== undefined) throw new Error(`there was no call at ${place}`);
        return result;
      } finally {
        countdown = undefined;
      }
    },
  };
}

function isBackground(first: unknown): boolean {
  return typeof first === 'string' && /\b\w+_outbox\b/.test(first) && !first.startsWith('INSERT');
}

/** `SELECT account_identifiers`, `INSERT audit_events`: what a statement does, and to which table. */
function summary(sql: string): string {
  const [verb = ''] = /\w+/.exec(sql) ?? [];
  const table = /\b(?:FROM|INTO|UPDATE)\s+(\w+)/.exec(sql)?.[1] ?? '';
  return `${verb} ${table}`;
}
