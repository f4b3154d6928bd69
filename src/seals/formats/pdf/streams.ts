/** Reads the streams that hold structure: cross-reference and object streams (ISO 32000-2, 7.3.8 and 7.4). */
import { constants, inflateSync } from 'node:zlib';
import { FormatError } from '../format.ts';
import { Lexer } from './lexer.ts';
import { type Budget, beyondLimits, damaged } from './refusals.ts';
import { Dict, type IndirectObject, type Value, isCount } from './values.ts';

/**
 * The data of a stream, its filter undone.
 * @param entry Gives an entry of the stream's dictionary with its reference followed; `null` when there is none.
 * @throws {FormatError} PDF_UNSUPPORTED for filters that no producer uses for structure; PDF_BEYOND_LIMITS for a bomb.
 */
export function readStream(object: IndirectObject, entry: (key: string) => Value, budget: Budget): Buffer {
  const { bytes, dataStart } = object;
  const length = entry('Length');
  if (dataStart === undefined || !isCount(length)) throw damaged('a stream expected');
  const dataEnd = dataStart + length;
  if (dataEnd > bytes.length) throw damaged('a stream that reaches past the end');
  new Lexer(bytes, dataEnd, budget).expectKeyword('endstream');
  return decode(bytes.subarray(dataStart, dataEnd), entry, budget);
}

function decode(data: Buffer, entry: (key: string) => Value, budget: Budget): Buffer {
  const filter = single(entry('Filter'));
  if (filter === null) return data;
  if (filter !== 'FlateDecode' && filter !== 'Fl') throw unsupported('filter');
  const inflated = inflate(data, budget);
  const parameters = single(entry('DecodeParms'));
  if (!(parameters instanceof Dict)) return inflated;
  const predictor = parameters.get('Predictor') ?? 1;
  if (predictor === 1) return inflated;
  if (!isCount(predictor) || predictor < 10) throw unsupported('predictor');
  return undoPngPrediction(inflated, rowShape(parameters));
}

/** Filters may stand in an array; streams of structure have one at most. */
function single(value: Value): Value {
  if (!Array.isArray(value)) return value;
  if (value.length > 1) throw unsupported('chain of filters');
  return (value[0] as Value | undefined) ?? null;
}

function inflate(data: Buffer, budget: Budget): Buffer {
  const room = budget.inflatable;
  if (room === 0) throw beyondLimits('inflatedBytes');
  try {
    const inflated = inflateSync(data, { maxOutputLength: room, finishFlush: constants.Z_FINISH });
    budget.spendInflated(inflated.length);
    return inflated;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw beyondLimits('inflatedBytes');
    throw damaged('a stream that does not decompress', error);
  }
}

interface RowShape {
  readonly rowBytes: number;
  readonly pixelBytes: number;
}

function rowShape(parameters: Dict): RowShape {
  const colours = parameters.get('Colors') ?? 1;
  const bits = parameters.get('BitsPerComponent') ?? 8;
  const columns = parameters.get('Columns') ?? 1;
  if (!isCount(colours) || !isCount(bits) || !isCount(columns)) throw damaged('predictor parameters');
  const rowBytes = Math.ceil((colours * bits * columns) / 8);
  if (rowBytes < 1 || rowBytes > 1 << 16) throw damaged('predictor row of a senseless size');
  return { rowBytes, pixelBytes: Math.max(1, Math.ceil((colours * bits) / 8)) };
}

/** Each row begins with a byte naming its filter (PNG, section 9). */
function undoPngPrediction(predicted: Buffer, { rowBytes, pixelBytes }: RowShape): Buffer {
  const rows = Math.ceil(predicted.length / (rowBytes + 1));
  const plain = Buffer.alloc(rows * rowBytes);
  let length = 0;
  for (let row = 0; row < rows; row++) {
    const source = row * (rowBytes + 1) + 1;
    const target = row * rowBytes;
    const kind = predicted[source - 1] as number;
    const width = Math.min(rowBytes, predicted.length - source);
    for (let i = 0; i < width; i++) {
      const left = i < pixelBytes ? 0 : (plain[target + i - pixelBytes] as number);
      const up = row === 0 ? 0 : (plain[target + i - rowBytes] as number);
      const upLeft = i < pixelBytes || row === 0 ? 0 : (plain[target + i - rowBytes - pixelBytes] as number);
      plain[target + i] = (predicted[source + i] as number) + prediction(kind, left, up, upLeft);
    }
    length = target + Math.max(width, 0);
  }
  return plain.subarray(0, length);
}

function prediction(kind: number, left: number, up: number, upLeft: number): number {
  switch (kind) {
    case 0:
      return 0;
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    case 4: {
      const estimate = left + up - upLeft;
      const [toLeft, toUp, toUpLeft] = [left, up, upLeft].map((value) => Math.abs(estimate - value)) as [
        number,
        number,
        number,
      ];
      if (toLeft <= toUp && toLeft <= toUpLeft) return left;
      return toUp <= toUpLeft ? up : upLeft;
    }
    default:
      throw damaged(`PNG filter ${kind}`);
  }
}

function unsupported(what: string): FormatError {
  return new FormatError('PDF_UNSUPPORTED', 'The PDF uses a compression that this service does not read.', {
    cause: `unusual ${what} of a cross-reference or object stream`,
  });
}
