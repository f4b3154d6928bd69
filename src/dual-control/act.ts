/** Kinds of acts: what their parameters are, who may take part, and what is done. A room defines its own; `app.ts` brings them together. */
import type { Transaction } from '../platform/db/db.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [member: string]: Json };

/** A person's part in an act. */
export interface Part {
  /** An account id, or the name of an operator. */
  readonly person: string;
  readonly scope: string;
}

/** An act that is being done. */
export interface Execution {
  readonly actId: string;
  readonly scope: string;
  readonly requestedBy: string;
  readonly approvers: readonly string[];
  readonly executedBy: string;
}

/** One kind of act. `P` are its parameters. */
export interface ActDefinition<P, R> {
  /** Reads what was asked for. @throws whatever is wrong with it, which becomes ACT_PARAMETERS. */
  parse(parameters: unknown): P;
  mayRequest(tx: Transaction, part: Part, parameters: P): Promise<boolean> | boolean;
  /** Asked at each approval, and of each approver once more when the act is done. Who may approve may refuse. */
  mayApprove(tx: Transaction, part: Part, parameters: P): Promise<boolean> | boolean;
  /** Does it, in the transaction that takes the act. What it throws undoes both: the act can be done again. */
  run(tx: Transaction, parameters: P, execution: Execution): Promise<R>;
}

/** A kind of act whose parameters only its own definition knows. */
export type Act = ActDefinition<Json, unknown>;

/** Makes a definition one of the kinds: its parameters are read anew from what is kept whenever they are needed. */
export function defineAct<P, R>(definition: ActDefinition<P, R>): Act {
  const { parse } = definition;
  return {
    parse(parameters) {
      parse(parameters);
      // What it may have added or dropped is not what people see and approve: they see what was written.
      // eslint-disable-next-line typescript/no-unsafe-type-assertion -- what `canonicalize` takes is JSON
      return parameters as Json;
    },
    mayRequest: (tx, part, parameters) => definition.mayRequest(tx, part, parse(parameters)),
    mayApprove: (tx, part, parameters) => definition.mayApprove(tx, part, parse(parameters)),
    run: (tx, parameters, execution) => definition.run(tx, parse(parameters), execution),
  };
}
