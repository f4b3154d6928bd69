#!/bin/sh
# Makes every file of this folder anew from sources/. What is needed and in which version: see README.md.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

chromium --headless --no-sandbox --disable-gpu --no-pdf-header-footer --print-to-pdf=chromium.pdf sources/note.html 2>/dev/null
for document in letter form; do
  soffice --headless --convert-to pdf --outdir "$work" "sources/$document.fodt" >/dev/null 2>&1
  mv "$work/$document.pdf" "libreoffice-$document.pdf"
done
gs -q -dNOPAUSE -dBATCH -sDEVICE=pdfwrite -sOutputFile=ghostscript.pdf sources/pages.ps
rsvg-convert --format=pdf --output=cairo.pdf sources/poster.svg
for document in pages pages field; do
  pdflatex -interaction=batchmode -output-directory="$work" "sources/$document.tex" >/dev/null
done
mv "$work/pages.pdf" pdftex.pdf
mv "$work/field.pdf" pdftex-field.pdf
python3 sources/hybrid.py >hybrid.pdf

qpdf --linearize libreoffice-letter.pdf qpdf-linearized.pdf
qpdf --linearize --object-streams=generate chromium.pdf qpdf-linearized-object-streams.pdf
qpdf --rotate=+90 ghostscript.pdf rotated.pdf
qpdf --encrypt '' owner 256 -- ghostscript.pdf encrypted.pdf
mutool run sources/note-again.js ghostscript.pdf incremental.pdf
mutool run sources/note-again.js pdftex.pdf incremental-streams.pdf

# A signature by someone else's software (Poppler over NSS), with a certificate that nobody trusts.
mkdir "$work/nss"
certutil -N -d "sql:$work/nss" --empty-password
head -c 64 /dev/urandom >"$work/noise"
certutil -S -d "sql:$work/nss" -n signer -s 'CN=Another signer,O=Example' -x -t 'Cu,Cu,Cu' -k ec -q nistp256 -v 1200 -z "$work/noise" -m 1 2>/dev/null
pdfsig -nssdir "sql:$work/nss" -sign Approval -nick signer -reason 'Signed before' pdftex-field.pdf signed-by-poppler.pdf
