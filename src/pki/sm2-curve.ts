/**
 * The curve of SM2 (GB/T 32918.5) for verification: s·G + t·P. Node's engine signs under no identity but the empty one and multiplies no
 * foreign points of this curve, so that a verifier has to do it itself. Everything here is public; the time taken depends on the numbers.
 */

/** A point other than the one at infinity. */
export interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

/** Jacobian coordinates: x = X/Z², y = Y/Z³, and Z = 0 at infinity. Coordinates are remainders and may be negative. */
interface Jacobian {
  readonly X: bigint;
  readonly Y: bigint;
  readonly Z: bigint;
}

export const p = 0xfffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffffn;
/** The order of G. */
export const n = 0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123n;
export const a = p - 3n;
export const b = 0x28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93n;
export const G: Point = {
  x: 0x32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7n,
  y: 0xbc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0n,
};

const infinity: Jacobian = { X: 1n, Y: 1n, Z: 0n };

/** Bits of a scalar taken at once: with a table for every place in it, and with one table for all. */
const COMB_BITS = 6;
const LADDER_BITS = 4;
/** A key gets tables of its own when it comes back so often that they pay. */
const USES_BEFORE_COMB = 12;
/** Keys remembered; the tables of one take about 400 KiB. */
const KEYS = 32;

type Comb = readonly (readonly Point[])[];

let combOfG: Comb | undefined;
const seen = new Map<bigint, { readonly y: bigint; uses: number; comb: Comb | undefined }>();

export function isOnCurve({ x, y }: Point): boolean {
  return x >= 0n && y >= 0n && x < p && y < p && (y * y - (x * x + a) * x - b) % p === 0n;
}

/**
 * Whether the x-coordinate of s·G + t·P is `x` modulo n.
 * @param P A point of the curve.
 * @param s From 0 to n - 1, as is `t`.
 */
export function sumHasX(s: bigint, t: bigint, P: Point, x: bigint): boolean {
  combOfG ??= combOf(G);
  const comb = combFor(P);
  const product = comb ? addComb(infinity, t, comb) : ladder(t, P);
  const { X, Z } = addComb(product, s, combOfG);
  if (Z % p === 0n) return false;
  const zz = (Z * Z) % p;
  // x is known modulo n, which is a little less than p.
  return (x * zz - X) % p === 0n || (x + n < p && ((x + n) * zz - X) % p === 0n);
}

/** @returns The inverse of `value` modulo the prime `modulus`; 0 for 0. */
export function inverse(value: bigint, modulus: bigint): bigint {
  let [r0, r1, t0, t1] = [modulus, ((value % modulus) + modulus) % modulus, 0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1, t0, t1] = [r1, r0 - quotient * r1, t1, t0 - quotient * t1];
  }
  return t0 < 0n ? t0 + modulus : t0;
}

function combFor(P: Point): Comb | undefined {
  const known = seen.get(P.x);
  const entry = known?.y === P.y ? known : { y: P.y, uses: 0, comb: undefined };
  seen.delete(P.x);
  seen.set(P.x, entry);
  const [oldest] = seen.keys();
  if (seen.size > KEYS && oldest !== undefined) seen.delete(oldest);
  entry.uses += 1;
  if (entry.uses > USES_BEFORE_COMB) entry.comb ??= combOf(P);
  return entry.comb;
}

/** For each place of COMB_BITS bits the multiples of P with that digit there. */
function combOf(P: Point): Comb {
  const rows: Point[][] = [];
  let start: Jacobian = { X: P.x, Y: P.y, Z: 1n };
  for (let bits = 0; bits < 256; bits += COMB_BITS) {
    const [base] = affine([start]);
    if (!base) break;
    rows.push(multiples(base, 2 ** COMB_BITS - 1));
    for (let i = 0; i < COMB_BITS; i++) start = double(start);
  }
  return rows;
}

function addComb(to: Jacobian, scalar: bigint, comb: Comb): Jacobian {
  let sum = to;
  let rest = scalar;
  const mask = 2n ** BigInt(COMB_BITS) - 1n;
  for (const row of comb) {
    const point = row[Number(rest & mask) - 1];
    if (point) sum = add(sum, point);
    rest >>= BigInt(COMB_BITS);
  }
  return sum;
}

function ladder(scalar: bigint, P: Point): Jacobian {
  const table = multiples(P, 2 ** LADDER_BITS - 1);
  const mask = 2n ** BigInt(LADDER_BITS) - 1n;
  let sum = infinity;
  for (let shift = 256 - LADDER_BITS; shift >= 0; shift -= LADDER_BITS) {
    for (let i = 0; i < LADDER_BITS; i++) sum = double(sum);
    const point = table[Number((scalar >> BigInt(shift)) & mask) - 1];
    if (point) sum = add(sum, point);
  }
  return sum;
}

/** P, 2P, ..., count·P. */
function multiples(P: Point, count: number): Point[] {
  const all: Jacobian[] = [{ X: P.x, Y: P.y, Z: 1n }];
  for (let last = all[0]; last && all.length < count; all.push(last)) last = add(last, P);
  return affine(all);
}

/** All at the price of one inversion. None may be at infinity. */
function affine(points: readonly Jacobian[]): Point[] {
  const before: bigint[] = [];
  let product = 1n;
  for (const { Z } of points) {
    before.push(product);
    product = (product * Z) % p;
  }
  let rest = inverse(product, p);
  const result: Point[] = [];
  for (let i = points.length - 1; i >= 0; i--) {
    const { X, Y, Z } = points[i] ?? infinity;
    const z = (rest * (before[i] ?? 0n)) % p;
    rest = (rest * Z) % p;
    const zz = (z * z) % p;
    result.unshift({ x: canonical(X * zz), y: canonical(Y * ((zz * z) % p)) });
  }
  return result;
}

function canonical(value: bigint): bigint {
  const rest = value % p;
  return rest < 0n ? rest + p : rest;
}

/** Jacobian plus affine, with the cases that the formula leaves out. */
function add(left: Jacobian, right: Point): Jacobian {
  const { X, Y, Z } = left;
  if (Z % p === 0n) return { X: right.x, Y: right.y, Z: 1n };
  const zz = (Z * Z) % p;
  const h = (right.x * zz - X) % p;
  const r = (right.y * ((zz * Z) % p) - Y) % p;
  if (h === 0n) return r === 0n ? double(left) : infinity;
  const hh = (h * h) % p;
  const hhh = (hh * h) % p;
  const v = (X * hh) % p;
  const x = (r * r - hhh - 2n * v) % p;
  return { X: x, Y: (r * (v - x) - Y * hhh) % p, Z: (Z * h) % p };
}

/** For a = -3. The curve has no point of order two: y is never 0. */
function double({ X, Y, Z }: Jacobian): Jacobian {
  const delta = (Z * Z) % p;
  const gamma = (Y * Y) % p;
  const beta = (X * gamma) % p;
  const alpha = (3n * (X - delta) * (X + delta)) % p;
  const x = (alpha * alpha - 8n * beta) % p;
  return { X: x, Y: (alpha * (4n * beta - x) - 8n * gamma * gamma) % p, Z: (2n * Y * Z) % p };
}
