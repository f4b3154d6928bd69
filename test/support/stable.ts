/** A page without what is new at every request: nonces, proofs of forms, challenges, ids of interactions, and how long it is good for. */
export function stable(html: string): string {
  return html
    .replaceAll(/nonce="[^"]+"|name="csrf" value="[^"]+"|interaction(?:%2F|\/)[\w-]{43}/g, '')
    .replaceAll(/&quot;challenge&quot;:&quot;[\w-]+&quot;/g, '')
    .replaceAll(/data-(?:seconds|until|extended)="[^"]*"/g, '')
    .replaceAll(/<span data-lifetime-until>[^<]*<\/span>/g, '');
}
