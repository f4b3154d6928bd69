/** The form's signature fields (ISO 32000-2, 12.7.4 and 12.7.5.5). */
import type { PdfFile } from './file.ts';
import { LIMITS, beyondLimits } from './refusals.ts';
import { Dict, Ref, type Value } from './values.ts';

/** A signature field: its full name, the signature in it if there is one, and the widget that shows it. */
export interface SignatureField {
  readonly name: string;
  /** The `/V` entry as written. */
  readonly value: Value;
  readonly dict: Dict;
  readonly widget: { readonly ref: Ref; readonly dict: Dict } | undefined;
}

interface Pending {
  readonly value: Value;
  readonly prefix: string;
  readonly type: Value;
  readonly depth: number;
}

/** The catalog's form, if the document has one. */
export function acroForm(file: PdfFile): Dict | undefined {
  return file.dict(file.catalog, 'AcroForm');
}

/** Partial names of the fields at the root, among which a new one must be unique. */
export function rootFieldNames(file: PdfFile): Set<string> {
  const form = acroForm(file);
  const names = new Set<string>();
  for (const item of form === undefined ? [] : file.array(form, 'Fields')) {
    const field = file.resolve(item);
    if (field instanceof Dict) names.add(file.text(field, 'T') ?? '');
  }
  return names;
}

/** Every signature field of the form, signed or not, in the form's order. */
export function* signatureFields(file: PdfFile): Generator<SignatureField> {
  const form = acroForm(file);
  if (form === undefined) return;
  const pending: Pending[] = [];
  const postpone = (values: readonly Value[], from: Omit<Pending, 'value'>) => {
    if (from.depth > LIMITS.depth) throw beyondLimits('depth');
    for (const value of values.toReversed()) pending.push({ ...from, value });
  };
  postpone(file.array(form, 'Fields'), { prefix: '', type: null, depth: 0 });
  const entered = new Set<number>();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { value, prefix, depth } = next;
    const dict = file.resolve(value);
    if (!(dict instanceof Dict)) continue;
    if (value instanceof Ref) {
      if (entered.has(value.number)) continue;
      entered.add(value.number);
    }
    const ownName = file.text(dict, 'T') ?? '';
    const name = prefix && ownName ? `${prefix}.${ownName}` : prefix || ownName;
    file.spendSteps(name.length);
    const type = file.get(dict, 'FT') ?? next.type;
    const kids = file.array(dict, 'Kids');
    if (!kids.every((kid) => isWidgetOnly(file, kid))) {
      postpone(kids, { prefix: name, type, depth: depth + 1 });
    } else if (type === 'Sig') {
      yield { name, value: dict.get('V') ?? null, dict, widget: toWidget(file, kids[0] ?? value) };
    }
  }
}

/** Kids without a name of their own are the field's widgets, not further fields. */
function isWidgetOnly(file: PdfFile, value: Value): boolean {
  const dict = file.resolve(value);
  return dict instanceof Dict && dict.get('T') === undefined && dict.get('Kids') === undefined;
}

function toWidget(file: PdfFile, value: Value): SignatureField['widget'] {
  const dict = file.resolve(value);
  return value instanceof Ref && dict instanceof Dict && dict.get('Rect') !== undefined
    ? { ref: value, dict }
    : undefined;
}
