/** Seals files of real producers, and asks other people's tools about the result. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pdf } from '../../../src/seals/formats/pdf/index.ts';
import { pdfsig, qpdfCheck } from '../../support/validators.ts';
import { SEALABLE, createAuthority, findRed, seal, sealing, vector } from './support.ts';

const authority = createAuthority();
const first = authority.signer('First');
const second = authority.signer('Second');

/** MuPDF's own opinion of every signature, and that it can draw the page. */
function mutool(document: Uint8Array): string {
  const file = join(mkdtempSync(join(tmpdir(), 'yinxin-mutool-')), 'document.pdf');
  writeFileSync(file, document);
  execFileSync('mutool', ['draw', '-q', '-o', '/dev/null', '-F', 'png', file], { stdio: 'pipe' });
  return execFileSync('mutool', ['sign', '-v', file], { encoding: 'utf8' });
}

const occurrences = (text: string, part: string) => text.split(part).length - 1;

describe.each(Object.entries(SEALABLE))('%s', (name, lastPage) => {
  const original = vector(name);
  const before = pdf.parse(original).signatures.length;
  const once = seal(original, first);

  test('the sealed document begins with the original, byte for byte', () => {
    expect(original.equals(once.subarray(0, original.length))).toBe(true);
  });

  test('qpdf finds no fault and gives no warning', () => {
    const said = qpdfCheck(once);
    expect(said).toContain('No syntax or stream encoding errors found');
    expect(said).not.toContain('WARNING');
  });

  test('Poppler finds it valid, trusted and covering the whole document', () => {
    const said = pdfsig(once, authority.rootPem);
    expect(occurrences(said, 'Signature is Valid.')).toBe(before + 1);
    expect(occurrences(said, 'Certificate is Trusted.')).toBe(1);
    expect(said).toContain('Signature Type: ETSI.CAdES.detached');
    expect(said).toContain('Total document signed');
  });

  test('MuPDF opens and draws it, and sees no edits since signing', () => {
    expect(mutool(once)).toMatch(/document is unchanged since signing|The document is unchanged/i);
  });

  test('the seal stands at the lower right of the last page, upright and at its size', () => {
    const red = findRed(once, lastPage);
    expect(red?.filled).toEqual([true, true, true, false]);
    expect((red?.right ?? 0) - (red?.left ?? 0)).toBeCloseTo(20, 0);
    expect((red?.bottom ?? 0) - (red?.top ?? 0)).toBeCloseTo(20, 0);
  });

  test('a second signer leaves the first valid', () => {
    const twice = seal(once, second, { nonce: Buffer.alloc(16, 9) });
    expect(Buffer.from(once).equals(twice.subarray(0, once.length))).toBe(true);
    const said = pdfsig(twice, authority.rootPem);
    expect(occurrences(said, 'Signature is Valid.')).toBe(before + 2);
    expect(occurrences(said, 'Certificate is Trusted.')).toBe(2);
    expect(qpdfCheck(twice)).not.toContain('WARNING');
    const own = pdf.parse(twice).signatures.slice(-2);
    expect(own.map(({ fieldName }) => fieldName)).toEqual(['Seal1', 'Seal2']);
    expect(own.map((found) => found.problem ?? found.coversWholeRevision)).toEqual([true, true]);
    expect(own.map((found) => found.problem ?? found.coversWholeDocument)).toEqual([false, true]);
  });

  test.each([
    ['of the original', () => '%PDF-1.'.length],
    ['of what sealing added', () => Buffer.from(once).lastIndexOf('Contract')],
  ])('one changed byte %s is a digest mismatch', (_, position) => {
    const changed = Buffer.from(once);
    changed[position()] = (changed[position()] as number) ^ 1;
    expect(pdfsig(changed, authority.rootPem)).toContain('Digest Mismatch');
  });

  test('its own parser reads back what was written', () => {
    const { signatures } = pdf.parse(once);
    expect(signatures).toHaveLength(before + 1);
    expect(signatures.at(-1)).toMatchObject({
      fieldName: 'Seal1',
      type: 'Sig',
      subFilter: 'ETSI.CAdES.detached',
      claimedAt: sealing().at,
      name: sealing().name,
      reason: sealing().reason,
      location: sealing().location,
      page: lastPage,
      coversWholeRevision: true,
      coversWholeDocument: true,
      bytesAfter: 0,
    });
  });

  test('sealing again with the same arguments gives the same bytes to sign', () => {
    const [one, other] = [pdf.prepare(original, sealing()), pdf.prepare(original, sealing())];
    expect(Buffer.concat(one.covered).equals(Buffer.concat(other.covered))).toBe(true);
  });
});
