"""Writes a hybrid-reference file (ISO 32000-2, 7.5.8.4) on standard output.

It is laid out as Microsoft Word does: the pages hide in an object stream, a first section calls them free, and a second, empty one has
the XRefStm by which newer readers find them.
"""
import struct, sys, zlib

out = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
offsets = {}

def put(number, body):
    offsets[number] = len(out)
    out.extend(b"%d 0 obj\n%s\nendobj\n" % (number, body))

def stream(entries, data):
    packed = zlib.compress(data)
    return b"<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream" % (entries, len(packed), packed)

hidden = {
    2: b"<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2/MediaBox[0 0 595 842]/Resources<</Font<</F 5 0 R>>>>>>",
    3: b"<</Type/Page/Parent 2 0 R/Contents 6 0 R>>",
    4: b"<</Type/Page/Parent 2 0 R/Contents 6 0 R/Rotate 270>>",
}
put(1, b"<</Type/Catalog/Pages 2 0 R>>")
put(5, b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
put(6, stream(b"", b"BT /F 24 Tf 72 700 Td (A page behind a hybrid cross-reference) Tj ET"))
header, body = b"", b""
for number, text in hidden.items():
    header += b"%d %d " % (number, len(body))
    body += text + b"\n"
put(7, stream(b"/Type/ObjStm/N %d/First %d" % (len(hidden), len(header)), header + body))
rows = b"".join(struct.pack(">BHB", 2, 7, index) for index in range(len(hidden)))
put(8, stream(b"/Type/XRef/W[1 2 1]/Index[2 %d]/Size 9" % len(hidden), rows))
first = len(out)
out.extend(b"xref\n0 9\n")
for number in range(9):
    if number in offsets:
        out.extend(b"%010d 00000 n\r\n" % offsets[number])
    else:
        out.extend(b"0000000000 65535 f\r\n")
out.extend(b"trailer\n<</Size 9/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % first)
second = len(out)
out.extend(b"xref\n0 0\ntrailer\n<</Size 9/Root 1 0 R/Prev %d/XRefStm %d>>\n" % (first, offsets[8]))
out.extend(b"startxref\n%d\n%%%%EOF\n" % second)
sys.stdout.buffer.write(out)
