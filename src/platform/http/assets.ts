/** The stylesheet and pictures of the pages: read once, addressed by their content, cached by browsers for ever. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Middleware } from './context.ts';

const DIRECTORY = fileURLToPath(new URL('../../../views/assets/', import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.js': 'text/javascript; charset=utf-8',
};

export interface Assets {
  /** Address of a file, with its content's digest in it. @throws {TypeError} there is no such file. */
  href(file: string): string;
  readonly middleware: Middleware;
}

export function loadAssets(): Assets {
  const byPath = new Map<string, { body: Buffer; type: string }>();
  const hrefs = new Map<string, string>();
  for (const file of readdirSync(DIRECTORY)) {
    const body = readFileSync(DIRECTORY + file);
    const extension = extname(file);
    const digest = createHash('sha256').update(body).digest('hex').slice(0, 12);
    const path = `/assets/${file.slice(0, -extension.length)}.${digest}${extension}`;
    byPath.set(path, { body, type: TYPES[extension] ?? 'application/octet-stream' });
    hrefs.set(file, path);
  }
  return {
    href(file) {
      const href = hrefs.get(file);
      if (href === undefined) throw new TypeError(`there is no asset ${file}`);
      return href;
    },
    async middleware(ctx, next) {
      const asset = byPath.get(ctx.path);
      if (!asset || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
      ctx.state.area = 'assets';
      ctx.type = asset.type;
      ctx.set('Cache-Control', 'public, max-age=31536000, immutable');
      ctx.body = asset.body;
    },
  };
}
