/** For whoever runs the process: is it alive, is it ready, what has it measured. */
import type { Metrics } from '../metrics.ts';
import type { Middleware } from './context.ts';

/** @param checks What readiness depends on; each resolves or rejects. @param stopping Whether the process has begun to stop. */
export function operations(parts: {
  metrics: Metrics;
  checks: Readonly<Record<string, () => Promise<unknown>>>;
  stopping: () => boolean;
}): Middleware {
  return async function answerOperations(ctx, next) {
    if (ctx.method !== 'GET') return next();
    switch (ctx.path) {
      case '/healthz':
        ctx.state.area = 'operations';
        ctx.body = { status: 'ok' };
        return;
      case '/readyz': {
        ctx.state.area = 'operations';
        const names = Object.keys(parts.checks);
        const results = await Promise.allSettled(
          Object.values(parts.checks).map((check) => withTimeout(check())),
        );
        const failed = names.filter((_, i) => results[i]?.status === 'rejected');
        const ready = failed.length === 0 && !parts.stopping();
        ctx.status = ready ? 200 : 503;
        ctx.body = { status: ready ? 'ready' : parts.stopping() ? 'stopping' : 'not ready', failed };
        return;
      }
      case '/metrics':
        ctx.state.area = 'operations';
        ctx.type = parts.metrics.registry.contentType;
        ctx.body = await parts.metrics.registry.metrics();
        return;
      default:
        return next();
    }
  };
}

const CHECK_MS = 2000;

/** A store that hangs is not ready either. */
async function withTimeout(check: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise(
    (_, reject) => (timer = setTimeout(reject, CHECK_MS, new Error('no answer in time'))),
  );
  await Promise.race([check, late]).finally(() => clearTimeout(timer));
}
