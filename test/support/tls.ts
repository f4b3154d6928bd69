/** Certificates for TLS servers of tests, made by OpenSSL. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate that an address signs for itself, good for a day. Both parts PEM. */
export function selfSigned(address: string): { key: string; certificate: string } {
  const folder = mkdtempSync(join(tmpdir(), 'yinxin-tls-'));
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  try {
    execFileSync(
      'openssl',
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=${address}`
        .split(' ')
        .concat('-addext', `subjectAltName=IP:${address}`, '-keyout', key, '-out', certificate),
      { stdio: 'ignore' },
    );
    return { key: readFileSync(key, 'utf8'), certificate: readFileSync(certificate, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
