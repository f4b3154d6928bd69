/** Outside validators: what other people's tools say of what we made. They exit 0 on bad signatures, so their text is read. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What poppler's `pdfsig` says, with `rootPem` trusted. */
export function pdfsig(document: Uint8Array, rootPem: string): string {
  const folder = folderWith({ 'document.pdf': document, 'root.pem': rootPem });
  const db = join(folder, 'nss');
  execFileSync('mkdir', [db]);
  execFileSync('certutil', ['-N', '-d', `sql:${db}`, '--empty-password']);
  execFileSync('certutil', [
    '-A',
    '-d',
    `sql:${db}`,
    '-n',
    'root',
    '-t',
    'C,C,C',
    '-i',
    join(folder, 'root.pem'),
  ]);
  const { stdout, stderr } = spawnSync('pdfsig', ['-nssdir', `sql:${db}`, join(folder, 'document.pdf')], {
    encoding: 'utf8',
  });
  return stdout + stderr;
}

/** What `qpdf --check` says; a clean file ends with its line of praise and has no warning. */
export function qpdfCheck(document: Uint8Array): string {
  const folder = folderWith({ 'document.pdf': document });
  const { stdout, stderr } = spawnSync('qpdf', ['--check', join(folder, 'document.pdf')], {
    encoding: 'utf8',
  });
  return stdout + stderr;
}

/** How many pages qpdf counts. */
export function pageCount(document: Uint8Array): number {
  const folder = folderWith({ 'document.pdf': document });
  return Number(execFileSync('qpdf', ['--show-npages', join(folder, 'document.pdf')], { encoding: 'utf8' }));
}

/** What `openssl cms -verify -cades` says of a detached CMS over `content`. */
export function opensslCms(cms: Uint8Array, content: Uint8Array, rootPem: string): string {
  const folder = folderWith({ 'cms.der': cms, content, 'root.pem': rootPem });
  const args = [
    'cms',
    '-verify',
    '-cades',
    '-binary',
    '-inform',
    'DER',
    '-in',
    join(folder, 'cms.der'),
    '-content',
    join(folder, 'content'),
  ];
  const { stderr, status } = spawnSync(
    'openssl',
    [...args, '-CAfile', join(folder, 'root.pem'), '-purpose', 'any', '-out', '/dev/null'],
    { encoding: 'utf8' },
  );
  return `${stderr.trim()} (${status})`;
}

/** The share of red pixels in the lower right quarter of the last page, as poppler renders it. */
export function redShare(document: Uint8Array, page: number): number {
  const folder = folderWith({ 'document.pdf': document });
  execFileSync('pdftoppm', [
    '-r',
    '50',
    '-f',
    String(page),
    '-l',
    String(page),
    join(folder, 'document.pdf'),
    join(folder, 'page'),
  ]);
  const [file] = execFileSync('sh', ['-c', `ls ${join(folder, 'page')}*.ppm`], { encoding: 'utf8' })
    .trim()
    .split('\n');
  const ppm = execFileSync('cat', [file ?? ''], { maxBuffer: 1e9 });
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(ppm.subarray(0, 40).toString('latin1'));
  const [width, height] = [Number(header?.[1]), Number(header?.[2])];
  const pixels = ppm.subarray(header?.[0].length);
  let red = 0;
  let all = 0;
  for (let y = height >> 1; y < height; y++)
    for (let x = width >> 1; x < width; x++, all++) {
      const at = (y * width + x) * 3;
      if ((pixels[at] ?? 0) > 150 && (pixels[at + 1] ?? 255) < 110 && (pixels[at + 2] ?? 255) < 110) red += 1;
    }
  return red / all;
}

/** The CMS and the covered bytes of the last signature, cut out of the file by its ByteRange as any reader would. */
export function extractCms(document: Uint8Array): { cms: Buffer; content: Buffer } {
  const text = Buffer.from(document).toString('latin1');
  const range = [...text.matchAll(/\/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]/g)].at(-1);
  const [a = 0, b = 0, c = 0, d = 0] = range?.slice(1).map(Number) ?? [];
  const hex = text.slice(a + b + 1, c - 1);
  const bytes = Buffer.from(hex, 'hex');
  const length = 4 + bytes.readUInt16BE(2);
  return {
    cms: bytes.subarray(0, length),
    content: Buffer.concat([document.subarray(a, a + b), document.subarray(c, c + d)]),
  };
}

/**
 * What BouncyCastle says, a line for each question; see `java/Judge.java`. SM2 signatures it judges under the signer ID of the standard.
 * @param questions Words of the question; octets in it become files.
 */
export function bouncyCastle(questions: readonly (readonly (string | Uint8Array)[])[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'yinxin-validate-'));
  const words = questions.flat().map((word, i) => {
    if (typeof word === 'string') return word;
    writeFileSync(join(folder, `${i}.der`), word);
    return join(folder, `${i}.der`);
  });
  const jars = ['bcprov', 'bcutil', 'bcpkix'].map((name) => `/usr/share/java/${name}.jar`).join(':');
  const utf8 = ['-Dfile.encoding=UTF-8', '-Dsun.stdout.encoding=UTF-8', '-Dstdout.encoding=UTF-8'];
  const args = ['-XX:TieredStopAtLevel=1', ...utf8, '-cp', jars, 'test/support/java/Judge.java', ...words];
  return execFileSync('java', args, { encoding: 'utf8' }).trimEnd().split('\n');
}

function folderWith(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'yinxin-validate-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}
