// Every regular expression of the npm package, as its modules make them. The first argument is the folder of the modules.
// First a line of JSON with all of them, and the places in the sources where one is made; then, for a line of JSON on
// stdin, an answer: {source, flags, texts: [[head, unit, tail]], size, turns} is timed, {source, flags, among} matched.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";

const [, , folder] = process.argv;
const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js"));
const trees = new Map(
  files.map((name) => {
    const text = readFileSync(join(folder, name), "utf8");
    return [name, ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS)];
  }),
);
const Native = RegExp;
const made = [];
globalThis.RegExp = new Proxy(Native, {
  construct(target, given) {
    const { source, flags } = new target(...given);
    made.push({ source, flags, places: placesOf(new Error().stack) });
    return new target(...given);
  },
  apply() {
    throw new Error("RegExp is called without new, which nobody here looks for");
  },
});
for (const name of files) await import(pathToFileURL(join(folder, name)).href);
globalThis.RegExp = Native;

/** What each frame of a stack calls, the innermost first: its file, and the place in it. */
function placesOf(stack) {
  const frames = [...stack.matchAll(/\(?(file:[^\s()]*):([0-9]+):([0-9]+)\)?$/gm)];
  return frames.flatMap(([, url, line, column]) => {
    const file = relative(folder, fileURLToPath(url));
    return trees.has(file) ? [{ file, at: trees.get(file).getPositionOfLineAndCharacter(line - 1, column - 1) }] : [];
  });
}

/** The name of what stands at the top of a module and holds a place. */
function nameAt(file, at) {
  const statement = trees.get(file).statements.find((each) => each.pos <= at && at < each.end);
  const declared = statement?.declarationList?.declarations.find((each) => each.pos <= at && at < each.end);
  return `${file.replace(/\.js$/, "")}.${(declared ?? statement)?.name?.getText() ?? ""}`;
}

const found = [];
const sites = [];
for (const [file, tree] of trees) {
  const visit = (node) => {
    if (ts.isRegularExpressionLiteral(node)) {
      const [, source, flags] = /^\/(.*)\/([a-z]*)$/su.exec(node.text);
      found.push({ name: nameAt(file, node.getStart()), source, flags });
    } else if (ts.isIdentifier(node) && node.text === "RegExp" && !ts.isTypeReferenceNode(node.parent)) {
      sites.push(`${file}:${node.parent.getStart()}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
}
for (const { source, flags, places } of made) {
  const outermost = places.at(-1);
  found.push({ name: nameAt(outermost.file, outermost.at), source, flags });
}
const reached = made.map(({ places: [{ file, at }] }) => `${file}:${at}`);
console.log(JSON.stringify({ found, unreached: sites.filter((site) => !reached.includes(site)) }));

function cpuS() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** The least that it takes to search a text, all of it. */
function timed(pattern, [head, unit, tail], size, turns) {
  const text = head + unit.repeat(Math.max(0, Math.floor((size - head.length - tail.length) / unit.length))) + tail;
  let least = Infinity;
  for (let turn = 0; turn < turns; turn++) {
    const start = cpuS();
    for (const _ of text.matchAll(pattern));
    least = Math.min(least, cpuS() - start);
  }
  return least;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { source, flags, texts, size, turns, among } = JSON.parse(line);
  const pattern = new RegExp(source, flags.includes("g") ? flags : `${flags}g`);
  const answer = texts
    ? texts.map((text) => timed(pattern, text, size, turns))
    : among.map((text) => [...text.matchAll(pattern)].map((match) => [...match].map((group) => group ?? null)));
  console.log(JSON.stringify(answer));
}
