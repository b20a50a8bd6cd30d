// Prints what an editor offers in each program, at the place that it marks with ▮, as JSON.
import { readFileSync } from "node:fs";
import ts from "typescript";
import { options } from "./options.mjs";

const MARK = "▮";
const [, , packageFolder, ...files] = process.argv;
const programs = new Map(files.map((file) => [file, readFileSync(file, "utf8")]));
const host = {
  fileExists: ts.sys.fileExists,
  readFile: ts.sys.readFile,
  readDirectory: ts.sys.readDirectory,
  directoryExists: ts.sys.directoryExists,
  getDirectories: ts.sys.getDirectories,
  useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames,
  getCompilationSettings: () => options(packageFolder),
  getScriptFileNames: () => files,
  getScriptVersion: () => "1",
  getScriptSnapshot: (file) => {
    const text = programs.get(file)?.replace(MARK, "") ?? ts.sys.readFile(file);
    return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
  },
  getCurrentDirectory: () => process.cwd(),
  getDefaultLibFileName: ts.getDefaultLibFilePath,
};
const service = ts.createLanguageService(host);
const offered = files.map((file) =>
  service.getCompletionsAtPosition(file, programs.get(file).indexOf(MARK), {})?.entries.map(({ name }) => name),
);
process.stdout.write(JSON.stringify(offered));
