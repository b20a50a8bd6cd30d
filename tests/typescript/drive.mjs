// Runs what comes on stdin, a line each: the body of an async function of `client`, `prospo` and `args`. Answers with
// what it returned or threw, with the client's budget, its warnings, and how often it called fetch, and that for what
// costs money. The first argument is the package's index.js.
import { createInterface } from "node:readline";
import { inspect } from "node:util";

const prospo = await import(process.argv[2]);
const AsyncFunction = (async () => {}).constructor;

for await (const line of createInterface({ input: process.stdin })) {
  const { body, options, args } = JSON.parse(line);
  const told = { warnings: [], sent: 0, paid: 0 };
  const seams = {
    onWarning: (problem) => told.warnings.push(problem),
    fetch: (...request) => {
      told.sent++;
      if (/\/v1\/generate$/.test(request[0])) told.paid++;
      return fetch(...request);
    },
  };
  let client;
  try {
    client = new prospo.Client({ ...seams, ...options });
    told.value = (await new AsyncFunction("client", "prospo", "args", body)(client, prospo, args ?? undefined)) ?? null;
  } catch (error) {
    told.error = described(error);
  }
  if (client) told.budget = { spent: client.budget.spentUsd, held: client.budget.heldUsd };
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

function described(error) {
  if (!(error instanceof Error)) return { name: "", message: String(error), kinds: [], members: {}, shown: [] };
  const kinds = [];
  for (let kind = error.constructor; kind.name; kind = Object.getPrototypeOf(kind)) kinds.push(kind.name);
  const shown = [String(error), error.stack, inspect(error, { depth: 10 }), JSON.stringify(error)];
  const cause = error.cause && described(error.cause);
  return { name: error.name, message: error.message, kinds, members: { ...error }, shown, cause };
}
