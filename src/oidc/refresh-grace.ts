/**
 * Refresh token rotation with a grace rule (RFC 9700, section 4.14.2): the same client, holding the same key, that shows a rotated token
 * again within three seconds gets the same answer again. Two tabs that refresh at once, or an answer lost on the way, sign nobody out.
 * Shown later, it is taken for stolen, and the whole family of tokens ends.
 */
import { setTimeout } from 'node:timers/promises';
import { calculateJwkThumbprint, decodeProtectedHeader } from 'jose';
import Provider, { errors } from 'oidc-provider';
import type { Context, Middleware } from '../platform/http/context.ts';
import { GRACE_SECONDS } from './adapter.ts';
import type { Records } from './records.ts';
import { ROUTES } from './configuration.ts';

/** How long a second request waits for the first one's answer. */
const WAIT_MS = 2000;
const MODEL = 'RefreshAnswer';

export interface Answer {
  readonly body: unknown;
  /** Thumbprints of the keys that the answer is bound to, if any. */
  readonly sender: string | undefined;
}

interface GraceState {
  /** The rotated token of this request: it was first, or came again in time. */
  refresh?: { readonly id: string; readonly again: boolean };
}

export interface RefreshGrace {
  attach(provider: Provider): void;
  readonly middleware: Middleware;
  /** Keeps the answer that a rotated token got. */
  keep(id: string, answer: Answer): Promise<void>;
}

export function createRefreshGrace({
  records,
  certificateOf,
}: {
  records: Records;
  /** Thumbprint of the certificate that the request is bound to (RFC 8705). */
  certificateOf: (ctx: Context) => string | undefined;
}): RefreshGrace {
  const keep = (id: string, answer: Answer) => records.put(MODEL, id, answer, GRACE_SECONDS + 1);

  /** The first request's answer, for which this one waits a little. */
  async function recall(id: string): Promise<Answer | undefined> {
    for (let waited = 0; waited <= WAIT_MS; waited += 25) {
      const found = await records.find(MODEL, id);
      if (found) return found.payload as unknown as Answer;
      await setTimeout(25);
    }
    return undefined;
  }

  return {
    keep,

    attach(provider) {
      const prototype = provider.RefreshToken.prototype as unknown as {
        jti: string;
        consume(): Promise<void>;
      };
      const consume = prototype.consume;
      // Reached only after the library has checked client, key, grant and account.
      prototype.consume = async function consumeOnce() {
        const state = Provider.ctx?.state as GraceState | undefined;
        const again = !(await attempt(() => consume.call(this)));
        if (state) state.refresh = { id: this.jti, again };
        if (again) throw new errors.InvalidGrant('refresh token already used');
      };
    },

    async middleware(ctx, next) {
      await next();
      const { refresh } = ctx.state as GraceState;
      if (ctx.path !== ROUTES.token || !refresh) return;
      const sender = await senderOf(ctx, certificateOf(ctx));
      if (!refresh.again) {
        if (ctx.status === 200) await keep(refresh.id, { body: ctx.body, sender });
        return;
      }
      const answer = await recall(refresh.id);
      if (!answer || answer.sender !== sender) return;
      ctx.status = 200;
      ctx.body = answer.body;
    },
  };
}

/** The keys that the request is bound to: of its DPoP proof (RFC 9449), which the library has checked, and of its certificate. */
async function senderOf(ctx: Context, certificate: string | undefined): Promise<string | undefined> {
  const proof = ctx.get('dpop');
  const { jwk } = proof === '' ? {} : decodeProtectedHeader(proof);
  const keys = [jwk && (await calculateJwkThumbprint(jwk)), certificate].filter((key) => key !== undefined);
  return keys.length === 0 ? undefined : keys.join(' ');
}

async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof errors.InvalidGrant) return false;
    throw error;
  }
}
