/**
 * From what a caller passes to the exact text that leaves, checked and priced. Here lives no HTTP.
 *
 * What is judged is the JSON text itself: whatever was passed, and whatever is changed afterwards, nothing else is
 * sent. Nothing is filled in; only `async` is ours.
 */

import { type Json, text } from "./answers.js";
import { InvalidRequest, OverBudget } from "./errors.js";
import { modeOf } from "./model.js";
import { MODELS } from "./models/index.js";
import { estimate } from "./price.js";
import type { Problem } from "./problem.js";
import { validate, validateJson } from "./rules.js";
import { ASYNC_ABOVE_S } from "./service.js";
import { isObject } from "./values.js";

/** What a request is checked against, apart from its content. */
export interface Checks {
  /** USD. A request that may cost more is not sent. */
  readonly maxCostUsd?: number | undefined;
  /** False sends what the catalog refuses: it may lag behind the API. Default: true. */
  readonly validate?: boolean | undefined;
}

/** A request that may be sent. */
export interface Draft {
  /** JSON. */
  readonly body: string;
  /** The most that it costs; undefined where no price is published. */
  readonly largestUsd: number | undefined;
  readonly isAsync: boolean;
  readonly warnings: readonly Problem[];
}

/**
 * The text of a request. Throws InvalidRequest with every problem, and OverBudget beyond `maxCostUsd`.
 *
 * It is asynchronous where `isAsync` says so, or else where it says so itself, or else where the documentation
 * recommends it. `issued` are upload tokens that the service gave out: they are good, also where they have not the
 * documented form.
 */
export function draft(
  request: unknown,
  checks: Checks,
  isAsync: boolean | undefined,
  issued: ReadonlySet<string>,
): Draft {
  if (!isObject(request)) throw new InvalidRequest(validate(request));
  const { async: asked = recommendsAsync(request), ...rest } = request;
  const chosen = isAsync ?? asked;
  const body = json(chosen === false ? rest : { ...rest, async: chosen });
  const found = validateJson(body);
  if (found.some((problem) => problem.code === "json")) throw new InvalidRequest(found);
  const value: unknown = JSON.parse(body);
  const problems = found.filter((each) => each.code !== "media" || !issued.has(String(at(value, each.path))));
  const errors = problems.filter((problem) => problem.severity === "error");
  const isChecked = checks.validate ?? true;
  if (isChecked && errors.length > 0) throw new InvalidRequest(errors);
  const largestUsd = errors.length > 0 ? undefined : estimate(value).highUsd;
  checkCost(checks.maxCostUsd, largestUsd);
  return { body, largestUsd, isAsync: at(value, "/async") === true, warnings: isChecked ? problems : [] };
}

/** Whether the documentation recommends the asynchronous way: for long videos; here also for what may be one. */
export function recommendsAsync(request: Json): boolean {
  const model = MODELS.get(text(request["model"]) ?? "");
  if (model === undefined) return true;
  if (model.kind !== "video") return false;
  const mode = modeOf(model, text(request["mode"]));
  const params = isObject(request["params"]) ? request["params"] : {};
  const duration = params["duration"] ?? mode?.params.find((each) => each.name === "duration")?.default;
  const seconds = typeof duration === "string" ? parseFloat(duration) : duration;
  return typeof seconds !== "number" || !(seconds <= ASYNC_ABOVE_S);
}

function checkCost(maxCostUsd: number | undefined, largestUsd: number | undefined): void {
  if (maxCostUsd === undefined) return;
  if (largestUsd === undefined) {
    throw new OverBudget(`what this request costs is not published: nothing says that it is ${maxCostUsd} USD at most`);
  }
  if (largestUsd > maxCostUsd) {
    throw new OverBudget(`this request may cost ${largestUsd} USD, and maxCostUsd is ${maxCostUsd}`);
  }
}

/** The value that a JSON Pointer leads to, within a request whose names need no escape. */
function at(value: unknown, pointer: string): unknown {
  let found = value;
  for (const name of pointer.split("/").slice(1)) found = (found as Json | null | undefined)?.[name];
  return found;
}

function json(envelope: Json): string {
  try {
    return String(JSON.stringify(envelope)); // a toJSON may make undefined of it
  } catch (error) {
    const reason = error instanceof Error ? error.message : "it has no JSON";
    throw new InvalidRequest([
      {
        path: "",
        code: "json",
        severity: "error",
        evidence: "documented",
        message: `the request cannot be written as JSON: ${reason}`,
        hint: null,
      },
    ]);
  }
}
