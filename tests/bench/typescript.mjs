// Judges requests over and over and tells what that took, for tests/bench/typescript.py.
// The first line of stdin is JSON: the index.js of the package; the node_modules of Ajv, or null; the requests, base64,
// and again those of them that are invalid; each [model, mode, schema], the first of a model its first mode; how many
// requests a block has, and in how many turns it is timed. The answer has the judges of each group, by name, and the
// versions of what judges. Then for each line, [group, judge, what], an answer: for "time", what one request takes in a
// round, in seconds; for "verdicts", that on each request.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const asked = JSON.parse((await lines.next()).value);
const { isValid, isValidJson, validate, validateJson } = await import(pathToFileURL(asked.package).href);
const decoder = new TextDecoder();

/** Each in memory of its own, as it comes from the network: not a part of a larger one. */
function bytesOf(requests) {
  return requests.map((each) => Uint8Array.from(Buffer.from(each, "base64")));
}

const bytes = bytesOf(asked.requests);
const invalid = bytesOf(asked.invalid);
const texts = bytes.map((each) => decoder.decode(each));
const values = texts.map((each) => JSON.parse(each));
const invalidValues = invalid.map((each) => JSON.parse(decoder.decode(each)));

const groups = {
  "from an object": { items: values, judges: { "prospo.isValid": isValid } },
  "from a text": {
    items: texts,
    judges: { "JSON.parse alone": (text) => JSON.parse(text) !== null, "prospo.isValidJson": isValidJson },
  },
  "from bytes": {
    items: bytes,
    judges: {
      "TextDecoder and JSON.parse alone": (data) => JSON.parse(decoder.decode(data)) !== null,
      "prospo.isValidJson": isValidJson,
    },
  },
  "the problems of an invalid one, from bytes": {
    items: invalid,
    judges: { "prospo.isValidJson": isValidJson, "prospo.validateJson": (data) => validateJson(data).length === 0 },
  },
  "the problems of an invalid one, from an object": {
    items: invalidValues,
    judges: { "prospo.isValid": isValid, "prospo.validate": (request) => validate(request).length === 0 },
  },
};

/** Validators by Ajv of the schema that a request names: code made ahead, a module, and code made at its start. */
async function byAjv(modules) {
  const imported = (path) => import(pathToFileURL(join(modules, "ajv/dist", path)).href);
  const { Ajv2020 } = await imported("2020.js");
  const { default: standalone } = await imported("standalone/index.js");
  // In this draft a format says what a text is meant to be, and refuses none.
  const ajv = new Ajv2020({ strict: false, validateFormats: false, code: { source: true, esm: true } });
  const names = asked.modes.map(([, , schema], index) => {
    ajv.addSchema(schema, `schema${index}`);
    return `schema${index}`;
  });
  const source = standalone.default(ajv, Object.fromEntries(names.map((name) => [name, name])));
  const ahead = await import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);
  return {
    ahead: chosen(names.map((name) => ahead[name])),
    atStart: chosen(names.map((name) => ajv.getSchema(name))),
  };
}

/** By the model and mode that a request names, or leaves out. */
function chosen(checks) {
  const byModel = new Map();
  for (const [index, [model, mode]] of asked.modes.entries()) {
    if (!byModel.has(model)) byModel.set(model, new Map([[undefined, checks[index]]]));
    byModel.get(model).set(mode, checks[index]);
  }
  return (request) => {
    const check = byModel.get(request.model)?.get(request.mode);
    return check !== undefined && check(request);
  };
}

const versions = { node: process.versions.node };
if (asked.ajv) {
  versions.ajv = JSON.parse(readFileSync(join(asked.ajv, "ajv/package.json"), "utf8")).version;
  const { ahead, atStart } = await byAjv(asked.ajv);
  const { judges: ofObjects } = groups["from an object"];
  Object.assign(ofObjects, { "Ajv, standalone code": ahead, "Ajv, compiled at the start": atStart });
  groups["from a text"].judges["Ajv, standalone code, after JSON.parse"] = (text) => ahead(JSON.parse(text));
  groups["from bytes"].judges["Ajv, standalone code, after TextDecoder and JSON.parse"] = (data) =>
    ahead(JSON.parse(decoder.decode(data)));
}

function cpuS() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** How many it takes for valid. They are counted so that no compiler finds that nobody asks. */
function passed(block, judge, turns) {
  let count = 0;
  for (let turn = 0; turn < turns; turn++) {
    for (const item of block) if (judge(item)) count++;
  }
  return count;
}

/** The CPU time of one item in a round, in seconds: of each block in turn, once it has been judged, untimed. */
function timed(items, judge) {
  let taken = 0;
  for (let start = 0; start < items.length; start += asked.block) {
    const block = items.slice(start, start + asked.block);
    const once = passed(block, judge, 1);
    const before = cpuS();
    const count = passed(block, judge, asked.turns);
    taken += cpuS() - before;
    if (count !== once * asked.turns) throw new Error("a verdict hangs on how often it is asked for");
  }
  return taken / asked.turns / items.length;
}

const names = Object.entries(groups).map(([group, { judges }]) => [group, Object.keys(judges)]);
console.log(JSON.stringify({ groups: Object.fromEntries(names), versions }));
for await (const line of lines) {
  const [group, name, what] = JSON.parse(line);
  const { items, judges } = groups[group];
  const judge = judges[name];
  console.log(JSON.stringify(what === "time" ? timed(items, judge) : items.map((item) => judge(item))));
}
