/** The thread in which the slow signatures are made: RSA, P-384, SM2. It gives way to the event loop, and knows a key until it is told to forget it. */
import type { KeyObject } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { SignatureAlgorithm } from '../pki/index.ts';
import { giveWay } from '../platform/give-way.ts';
import { signWith, type SignWith } from './signing.ts';

export interface ThreadJob {
  readonly number: number;
  readonly key: number;
  readonly algorithm: SignatureAlgorithm;
  readonly data: Uint8Array;
}

export type ToThread =
  | { readonly kind: 'know'; readonly key: number; readonly privateKey: KeyObject }
  | { readonly kind: 'forget'; readonly key: number }
  | { readonly kind: 'sign'; readonly jobs: readonly ThreadJob[] };

/** Signatures of one message's jobs, in their order. */
export type FromThread = readonly (
  | { readonly number: number; readonly signature: Uint8Array }
  | { readonly number: number; readonly failed: string }
)[];

if (parentPort) {
  const port = parentPort;
  const keys = new Map<number, SignWith>();
  giveWay();

  const answer = ({ number, key, algorithm, data }: ThreadJob): FromThread[number] => {
    try {
      const signing = keys.get(key);
      if (!signing) throw new TypeError('no such key');
      // Octets of their own: a Buffer travels with the pool that it is a piece of.
      return { number, signature: new Uint8Array(signing(algorithm, data)) };
    } catch (error) {
      return { number, failed: error instanceof Error ? error.message : 'unknown' };
    }
  };

  port.on('message', (message: ToThread) => {
    switch (message.kind) {
      case 'know':
        keys.set(message.key, signWith(message.privateKey));
        break;
      case 'forget':
        keys.delete(message.key);
        break;
      case 'sign':
        port.postMessage(message.jobs.map(answer));
        break;
    }
  });
}
