/** DER as a tree that can be cut and grafted: for forging messages. It shares no code with what it tests. */

export interface Node {
  tag: number;
  /** Of a constructed element. */
  children?: Node[];
  /** Of a primitive element. */
  contents?: Buffer;
}

export function toTree(der: Uint8Array): Node {
  const [node] = toTrees(Buffer.from(der));
  if (!node) throw new Error('nothing there');
  return node;
}

function toTrees(bytes: Buffer): Node[] {
  const nodes: Node[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes.readUInt8(at);
    const first = bytes.readUInt8(at + 1);
    const count = first < 0x80 ? 0 : first & 0x7f;
    const length = count === 0 ? first : bytes.readUIntBE(at + 2, count);
    const contents = bytes.subarray(at + 2 + count, at + 2 + count + length);
    nodes.push((tag & 0x20) === 0 ? { tag, contents } : { tag, children: toTrees(contents) });
    at += 2 + count + length;
  }
  return nodes;
}

export function toDer(node: Node): Buffer {
  const contents = node.children
    ? Buffer.concat(node.children.map(toDer))
    : (node.contents ?? Buffer.alloc(0));
  return Buffer.concat([Buffer.of(node.tag), lengthOctets(contents.length), contents]);
}

function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const hex = length.toString(16);
  const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.of(0x80 | octets.length), octets]);
}

/** The node reached by the numbers of children, from the root. */
export function at(node: Node, ...path: readonly number[]): Node {
  return path.reduce((parent, index) => {
    const child = parent.children?.at(index);
    if (!child) throw new Error(`no child ${index}`);
    return child;
  }, node);
}

/** The same message with one node changed. */
export function changed(der: Uint8Array, path: readonly number[], change: (node: Node) => void): Buffer {
  const tree = toTree(der);
  change(at(tree, ...path));
  return toDer(tree);
}
