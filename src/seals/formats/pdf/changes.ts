/** What earlier signers allow to be changed (ISO 32000-2, 12.8.2.2 and 12.7.5.5, table 236). */
import { FormatError } from '../format.ts';
import { signatureFields } from './fields.ts';
import type { PdfFile } from './file.ts';
import { Dict } from './values.ts';

/** The access permission that forbids every change. */
const NO_CHANGES = 1;

/** @throws {FormatError} CHANGES_FORBIDDEN when the author's certification or an earlier signature allows no change at all. */
export function refuseIfLocked(file: PdfFile): void {
  const permissions = file.dict(file.catalog, 'Perms');
  const certification = permissions && file.dict(permissions, 'DocMDP');
  if (certification !== undefined && certifiedAccess(file, certification) === NO_CHANGES) throw forbidden();
  for (const { dict, value } of signatureFields(file)) {
    const signed = file.resolve(value) !== null;
    const lock = signed ? file.dict(dict, 'Lock') : undefined;
    if (lock !== undefined && file.get(lock, 'P') === NO_CHANGES) throw forbidden();
  }
}

/** `/P` of the DocMDP transform parameters; 2 where it is left out. */
function certifiedAccess(file: PdfFile, signature: Dict): unknown {
  for (const item of file.array(signature, 'Reference')) {
    const reference = file.resolve(item);
    if (!(reference instanceof Dict) || file.get(reference, 'TransformMethod') !== 'DocMDP') continue;
    const parameters = file.dict(reference, 'TransformParams');
    return (parameters && file.get(parameters, 'P')) ?? 2;
  }
  return 2;
}

function forbidden(): FormatError {
  return new FormatError(
    'CHANGES_FORBIDDEN',
    'An earlier signature allows no further change of the document.',
  );
}
