// Reads a package's sources as JSON, one object a line on stdin, and answers each with what the parser of TypeScript
// sees in them, and with what the package says once it has run. `require` is there, for code that should not run.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { posix } from "node:path";
import { createInterface } from "node:readline";
import ts from "typescript";

const known = new Map();

/** The same for the same text: of most packages, most files are alike. */
function once(kind, text, make) {
  const key = `${kind} ${text}`;
  if (!known.has(key)) known.set(key, make());
  return known.get(key);
}

/** What a file is made of: its tree without the texts, the texts, the comments, and what is no TypeScript. */
function parsed(path, text) {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.TS);
  const skeleton = createHash("sha256");
  const texts = [];
  const comments = new Map();
  const visit = (node) => {
    skeleton.update(`(${node.kind} `);
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      texts.push(node.text);
    } else if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node) || ts.isLiteralExpression(node)) {
      skeleton.update(JSON.stringify(node.text));
    }
    for (const each of node.jsDoc ?? []) each.tags?.forEach((tag) => skeleton.update(`@${tag.tagName.text}`));
    const here = [
      ...(ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []),
      ...(ts.getTrailingCommentRanges(text, node.end) ?? []),
    ];
    for (const { pos, end } of here) comments.set(pos, text.slice(pos, end));
    ts.forEachChild(node, visit);
    skeleton.update(")");
  };
  visit(file);
  const errors = file.parseDiagnostics.map((each) => ts.flattenDiagnosticMessageText(each.messageText, "\n"));
  const inOrder = [...comments].sort(([one], [other]) => one - other).map(([, comment]) => comment);
  return { errors, skeleton: skeleton.digest("hex"), texts, comments: inOrder };
}

function compiled(text) {
  const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
  return new Function("exports", "require", ts.transpileModule(text, { compilerOptions }).outputText);
}

/** Runs every module of the package, and gives what src/index.ts exports. */
function run(files) {
  const modules = new Map();
  const outside = createRequire(import.meta.url);
  const load = (path) => {
    if (modules.has(path)) return modules.get(path);
    const made = {};
    modules.set(path, made);
    const inside = (name) => {
      if (!name.startsWith(".")) return outside(name);
      return load(posix.join(posix.dirname(path), name).replace(/\.js$/, ".ts"));
    };
    once("compiled", files[path], () => compiled(files[path]))(made, inside);
    return made;
  };
  Object.keys(files).forEach(load);
  return load("src/index.ts");
}

for await (const line of createInterface({ input: process.stdin })) {
  const { files = {}, requests = [], literals = [] } = JSON.parse(line);
  const sources = Object.fromEntries(Object.entries(files).filter(([path]) => path.endsWith(".ts")));
  const trees = Object.entries(sources).map(([path, text]) => [path, once("parsed", text, () => parsed(path, text))]);
  const isWhole = sources["src/index.ts"] && trees.every(([, tree]) => tree.errors.length === 0);
  const judge = isWhole ? run(sources) : undefined;
  const answer = {
    trees: Object.fromEntries(trees),
    verdicts: requests.map((request) => ({ valid: judge.isValid(request), problems: judge.validate(request) })),
    values: literals.map((literal) => new Function(`return ${literal};`)()),
  };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
