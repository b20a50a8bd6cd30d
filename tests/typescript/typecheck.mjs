// Compiles programs that use the package by its name, and prints what the compiler says as JSON.
import ts from "typescript";
import { options } from "./options.mjs";

const [, , packageFolder, ...files] = process.argv;
const program = ts.createProgram(files, options(packageFolder));
const said = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, code, messageText }) => ({
  file: file?.fileName ?? "",
  line: file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0,
  code,
  message: ts.flattenDiagnosticMessageText(messageText, "\n"),
}));
process.stdout.write(JSON.stringify(said));
