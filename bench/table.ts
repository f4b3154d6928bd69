/** The table that the benchmark prints: a measure, what was measured, and what it must and should be. */

export interface Bounds {
  readonly must: number;
  readonly aim: number;
  /** Whether more is better, as with ratios, or less, as with milliseconds. */
  readonly better: 'more' | 'less';
  readonly unit?: string;
}

export interface Row {
  readonly measure: string;
  readonly product: string;
  readonly vanilla?: string;
  /** How many times better than vanilla: by CPU per operation, and by operations per second. */
  readonly ratio?: { readonly cpu: number; readonly rate: number };
  readonly bounds?: Bounds;
  /** What is held against the bounds; the ratio by CPU where there is one. */
  readonly value?: number;
}

const HEAD = ['measure', 'product', 'vanilla', 'ratio (CPU)', 'ratio (rate)', 'must', 'aim', ''];

export function formatTable(rows: readonly Row[]): string {
  const cells = [HEAD, ...rows.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width));
  return [HEAD, rule, ...cells.slice(1)].map(line).join('\n');
}

function cellsOf(row: Row): string[] {
  const { bounds, ratio } = row;
  const bound = (value: number) =>
    bounds ? `${bounds.better === 'more' ? '>=' : '<='} ${value}${bounds.unit ?? ''}` : '';
  return [
    row.measure,
    row.product,
    row.vanilla ?? '',
    ratio ? ratio.cpu.toFixed(2) : '',
    ratio ? ratio.rate.toFixed(2) : '',
    bounds ? bound(bounds.must) : '',
    bounds ? bound(bounds.aim) : '',
    verdict(row),
  ];
}

function verdict({ bounds, ratio, value = ratio?.cpu }: Row): string {
  if (!bounds || value === undefined) return '';
  const reaches = (bound: number) => (bounds.better === 'more' ? value >= bound : value <= bound);
  if (reaches(bounds.aim)) return 'aim';
  return reaches(bounds.must) ? 'must' : 'short';
}
