// mutool: changes the title and saves the change as an incremental update.
var document = new PDFDocument(scriptArgs[0]);
var info = document.getTrailer().get('Info');
info.put('Title', document.newString('Changed later'));
document.save(scriptArgs[1], 'incremental');
