// Judges bodies, base64 a line on stdin, and prints what the package says of each as JSON, a line each, as it comes.
// --package=<index.js>: of another build. --schemas=<folder>: also what Ajv says by the JSON Schemas there, taught nothing.
// --limit=<ms>: what takes longer than that, in CPU time, is timed again: what is told is the least of some turns.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const OURS = "../../generated/typescript/dist/index.js";
const options = { package: { type: "string", default: OURS }, schemas: { type: "string" }, limit: { type: "string" } };
const { values: asked } = parseArgs({ options });
const { isValid, isValidJson, quote, validate, validateJson } = await import(asked.package);
const schemas = asked.schemas ? await compiled(asked.schemas) : undefined;
const limit = Number(asked.limit ?? Infinity);
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Every schema of a folder, by model, mode and form: "<model>.<mode>", with ".strict" behind it or without. */
async function compiled(folder) {
  const { Ajv2020 } = await import("ajv/dist/2020.js");
  // In this draft a format says what a text is meant to be, and refuses none.
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return new Map(
    files.map((name) => {
      const schema = JSON.parse(readFileSync(join(folder, name), "utf8"));
      return [name.replace(/\.json$/, ""), { needsMode: schema.required.includes("mode"), check: ajv.compile(schema) }];
    }),
  );
}

/** Whether the schema of the model and mode that a request names lets it pass, in both forms. */
function bySchema(request) {
  const { model, mode } = request ?? {};
  const modes = [...schemas.keys()].filter((name) => name.startsWith(`${model}.`) && !name.endsWith(".strict"));
  const name = mode === undefined ? modes.find((each) => !schemas.get(each).needsMode) : `${model}.${mode}`;
  const passes = (form) => schemas.get(`${name}${form}`)?.check(request) ?? false;
  return { valid: passes(""), strict: passes(".strict") };
}

/** The value of a text by JSON.parse, and what is said of it. */
function ofValue(text, timed) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const isQuotable = timed("isValid", () => isValid(value));
  return {
    problems: timed("validate", () => validate(value)),
    valid: isQuotable,
    quote: isQuotable ? quote(value) : null,
    schema: schemas ? bySchema(value) : null,
  };
}

function cpuMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Gives what an act gives, and keeps what that took. */
function timedInto(tookMs) {
  return (name, act) => {
    let start = cpuMs();
    const value = act();
    let least = cpuMs() - start;
    for (let turn = 0; turn < 5 && least > limit; turn++) {
      start = cpuMs();
      act();
      least = Math.min(least, cpuMs() - start);
    }
    tookMs[name] = least;
    return value;
  };
}

function judged(data) {
  const text = decoder.decode(data);
  const tookMs = {};
  const timed = timedInto(tookMs);
  return {
    problems: timed("validateJson", () => validateJson(data)),
    valid: timed("isValidJson", () => isValidJson(data)),
    ofText: { problems: validateJson(text), valid: isValidJson(text) },
    ofValue: ofValue(text, timed),
    tookMs,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = judged(Buffer.from(line, "base64"));
  } catch (error) {
    said = { crash: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
