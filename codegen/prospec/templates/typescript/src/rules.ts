/**
 * Judges a request: fast (`isValid`), or with every problem explained (`validate`).
 *
 * The facts come from the catalog; the fast checks are generated. Here live the envelope's rules and the walk over a
 * mode's table. How a value is named in a message stands in `wording`, what was likely meant in `suggestion`.
 */

import { ENVELOPE } from "./catalog.js";
import { CHECKS } from "./checks.js";
import { membersOf, numberOf } from "./judged.js";
import { checkedText, parse } from "./jsontext.js";
import { evidenceOf, isMandatory, modeOf, type Evidence, type Mode, type Model, type Param } from "./model.js";
import { MODELS } from "./models/index.js";
import { NotJSON, type Problem, type Severity } from "./problem.js";
import { grouped } from "./text.js";
import { isMedia, isObject, isWithinRatio } from "./values.js";
import * as wording from "./wording.js";

/** Unknown members of which each is looked up for what it may have meant. More of them are no misspellings. */
const FEW = 20;
/** Problems of one kind in one place that are told one by one; those beyond are counted. */
const MANY = 100;
const SIDES = ["width", "height"];

type Values = ReadonlyMap<string, unknown>;

/** Path below the param, code, message after the param's name, hint. */
type Fault = readonly [path: string, code: string, message: string, hint: string | null];

/**
 * Whether the API would take this request, as far as documented facts tell. The same verdict as `validate`.
 *
 * Judged is what JSON.stringify would send: a member that is undefined is none.
 */
export function isValid(request: unknown): boolean {
  if (!isObject(request)) return false;
  let model: unknown;
  let mode: unknown = "";
  let params: unknown;
  for (const key in request) {
    const value = request[key];
    if (value === undefined) continue;
    switch (key) {
      case "model":
        model = value;
        break;
      case "mode":
        if (value === "") return false;
        mode = value;
        break;
      case "params":
        params = value;
        break;
      case "webhook_url":
        if (typeof value !== "string") return false;
        break;
      case "async":
        if (typeof value !== "boolean") return false;
        break;
      default:
        if (!ENVELOPE.includes(key)) return false;
    }
  }
  const check = CHECKS.get(model as string)?.get(mode as string);
  return check !== undefined && check(params);
}

/** `isValid` of a request as bytes or text; false for what is not JSON. */
export function isValidJson(data: Uint8Array | string): boolean {
  let request: unknown;
  try {
    request = JSON.parse(checkedText(data));
  } catch {
    return false;
  }
  return isValid(request);
}

/**
 * Every problem of a request, a mistake each; empty when there is none.
 *
 * Problems of severity `warning` leave it valid. The order is that of the documentation's tables; members that no table
 * lists come last, as the request has them.
 */
export function validate(request: unknown): Problem[] {
  const members = membersOf(request);
  if (!members) return [error("", "type", `a request is an object, got ${wording.kind(request)}`)];
  let unlisted = [...members.keys()].filter((key) => !ENVELOPE.includes(key));
  const few = unlisted.slice(0, FEW);
  const hints = new Map(few.map((key) => [key, wording.member(key, members)]));
  const isMeant = (name: string): boolean => [...hints.values()].includes(wording.didYouMean(name));
  const problems: Problem[] = [];
  const model = judgeModel(members, isMeant("model"), problems);
  const mode = judgeMode(members, model, problems);
  const table = new Set(mode?.params.map((param) => param.name));
  if (members.has("params")) {
    const given = members.get("params");
    const params = membersOf(given);
    if (!params) {
      const message = `params takes an object, got ${wording.kind(given)}`;
      problems.push(error("/params", "type", message, wording.asObject(given)));
    } else if (model && mode) {
      problems.push(...judgeParams(params, model, mode, unlisted));
    }
  } else if (!isMeant("params")) {
    const beside = few.filter((key) => (mode ? table.has(key) : isParam(key)));
    unlisted = unlisted.filter((key) => !beside.includes(key));
    const hint = beside.length ? `params: ${beside.join(", ")} inside it, not beside model` : null;
    problems.push(error("/params", "required", "params is missing: the object of the model's parameters", hint));
  }
  const url = members.get("webhook_url");
  if (members.has("webhook_url") && typeof url !== "string") {
    const message = `webhook_url takes a string, got ${wording.kind(url)}`;
    problems.push(error("/webhook_url", "type", message, wording.asOneMedia(url)));
  }
  const flag = members.get("async");
  if (members.has("async") && typeof flag !== "boolean") {
    const message = `async takes true or false, got ${wording.kind(flag)}`;
    problems.push(error("/async", "type", message, wording.asFlag(flag)));
  }
  problems.push(...counted(unlisted, (key) => unlistedMember(key, table, hints.get(key) ?? null)));
  return problems;
}

/** `validate` of a request as bytes or text. What is not JSON is one problem, of code `json`. */
export function validateJson(data: Uint8Array | string): Problem[] {
  let request: unknown;
  try {
    request = parse(data);
  } catch (failure) {
    if (!(failure instanceof NotJSON)) throw failure;
    return [error("", "json", `not a JSON value: ${failure.message}`)];
  }
  return validate(request);
}

function error(path: string, code: string, message: string, hint: string | null = null): Problem {
  return { path, code, severity: "error", evidence: "documented", message, hint };
}

/** Whether any mode of any model takes a param of that name. */
function isParam(key: string): boolean {
  return [...MODELS.values()].some((model) => model.modes.some((mode) => mode.params.some((row) => row.name === key)));
}

function unlistedMember(key: string, table: ReadonlySet<string>, hint: string | null): Problem {
  const message = `a request has no member ${wording.name(key)}; it has ${ENVELOPE.join(", ")}`;
  const meant = table.has(key) ? "params: inside it, not beside model" : hint;
  return error(wording.pointer(key), "additionalProperties", message, meant);
}

/** The problem of each of the first keys, and in one more the number of those that are left. */
function counted(keys: readonly string[], problemOf: (key: string) => Problem): Problem[] {
  const problems = keys.slice(0, MANY + 1).map(problemOf);
  const last = problems[MANY];
  const more = moreLikeIt(keys.length);
  if (last && more) problems[MANY] = { ...last, message: last.message + more };
  return problems;
}

/** What the last one told of many says of those that are not. */
function moreLikeIt(count: number): string {
  return count > MANY + 1 ? `; and ${grouped(count - MANY - 1)} more like it` : "";
}

function judgeModel(request: Values, isMisspelt: boolean, problems: Problem[]): Model | undefined {
  const id = request.get("model");
  if (!request.has("model")) {
    const missing = error("/model", "required", "model is missing: the id of a model of the catalog");
    if (!isMisspelt) problems.push(missing);
  } else if (typeof id !== "string") {
    problems.push(error("/model", "type", `model takes a string, got ${wording.kind(id)}`, wording.modelId(id)));
  } else if (!MODELS.has(id)) {
    const message = `the catalog has no model ${wording.name(id)}`;
    problems.push(error("/model", "model", message, wording.modelId(id)));
  } else {
    return MODELS.get(id);
  }
  return undefined;
}

function judgeMode(request: Values, model: Model | undefined, problems: Problem[]): Mode | undefined {
  const id = request.get("mode");
  if (!request.has("mode")) return model?.modes[0];
  if (typeof id !== "string") {
    const hint = model ? wording.modeId(id, model) : null;
    problems.push(error("/mode", "type", `mode takes a string, got ${wording.kind(id)}`, hint));
    return undefined;
  }
  if (!model) return undefined;
  const mode = modeOf(model, id);
  if (!mode) {
    const ids = model.modes.map((each) => each.id).join(", ");
    const message = `${model.id} has no mode ${wording.name(id)}; it has ${ids}`;
    problems.push(error("/mode", "mode", message, wording.modeId(id, model)));
  } else if (!mode.onWire) {
    const message = `${model.id} declares no mode: the id ${mode.id} is ours, and the API may refuse it`;
    const { evidence } = mode;
    problems.push({ path: "/mode", code: "mode", severity: "warning", evidence, message, hint: "leave mode out" });
  }
  return mode;
}

/** The problems of params. A param that stands beside them, or under a misspelt name, is not missing as well. */
function* judgeParams(params: Values, model: Model, mode: Mode, beside: readonly string[]): Iterable<Problem> {
  const rows = new Map(mode.params.map((param) => [param.name, param]));
  const unknown = [...params.keys()].filter((key) => !rows.has(key));
  const few = unknown.slice(0, FEW);
  const likely = new Map(few.map((key) => [key, wording.unknownParam(key, params, model, mode)]));
  const around = few.filter(wording.isEnvelope).flatMap((key) => [...(membersOf(params.get(key))?.keys() ?? [])]);
  const isSevere = severityOf(mode.evidence) === "error";
  // A wrapping that is a warning may hide an error.
  const wrapped = isSevere ? around : around.filter((name) => severityOf(rows.get(name)?.evidence) === "warning");
  const misplaced = new Set([...beside, ...wrapped]);
  const told = new Set<string>();
  for (const [name, param] of rows) {
    if (params.has(name)) {
      yield* row(param, judgeValue(param, params.get(name)));
    } else if (isMandatory(param) && !misplaced.has(name)) {
      const key = few.find((each) => likely.get(each)?.meant === name);
      if (key !== undefined && (isSevere || severityOf(param.evidence) === "warning")) continue;
      if (key !== undefined) told.add(key);
      const hint = key === undefined ? null : `did you mean ${name} by ${wording.name(key)}?`;
      yield* row(param, [["", "required", `is missing; ${model.id} needs it in mode ${mode.id}`, hint]]);
    }
  }
  const left = unknown.filter((key) => !told.has(key));
  yield* counted(left, (key) => unknownParam(key, likely.get(key)?.hint ?? null, model, mode));
}

function* row(param: Param, faults: Iterable<Fault>): Iterable<Problem> {
  for (const [below, code, message, hint] of faults) {
    const evidence = evidenceOf(param, code);
    const path = wording.pointer("params", param.name) + below;
    const place = code === "additionalProperties" ? "" : below.replaceAll("/", ".");
    const whole = `${param.name}${place} ${message}`;
    yield { path, code, severity: severityOf(evidence), evidence, message: whole, hint };
  }
}

function unknownParam(key: string, hint: string | null, model: Model, mode: Mode): Problem {
  const { evidence } = mode;
  const message = `${model.id} in mode ${mode.id} has no param ${wording.name(key)}`;
  const path = wording.pointer("params", key);
  return { path, code: "additionalProperties", severity: severityOf(evidence), evidence, message, hint };
}

/** Only a documented fact makes a request invalid. */
function severityOf(evidence: Evidence | undefined): Severity {
  return evidence === "documented" ? "error" : "warning";
}

function judgeValue(param: Param, value: unknown): Iterable<Fault> {
  switch (param.type) {
    case "boolean":
      if (typeof value === "boolean") return [];
      return [["", "type", `takes true or false, got ${wording.kind(value)}`, wording.asFlag(value)]];
    case "number":
      return judgeNumber(param, value);
    case "string":
      return param.media ? judgeMedia(value, "") : judgeText(param, value);
    case "array":
      return judgeList(param, value);
    case "string|object":
      return judgeSize(param, value);
  }
}

function judgeText(param: Param, value: unknown): Fault[] {
  if (typeof value !== "string") {
    return [["", "type", `takes a string, got ${wording.kind(value)}`, wording.asText(value, param.enum)]];
  }
  if (!param.enum || param.enum.includes(value)) return [];
  const { message, hint } = wording.notListed(value, param.enum);
  return [["", "enum", message, hint]];
}

function judgeNumber(param: Param, value: unknown): Fault[] {
  const number = numberOf(value);
  if (number === undefined) {
    return [["", "type", `takes a number, got ${wording.kind(value)}`, wording.asNumber(value, param)]];
  }
  const [fault] = judgeRange(param, value, number, "");
  // Who sends the seed -1 wants a random one: none at all.
  if (fault?.[1] === "minimum" && param.name === "seed") return [["", "minimum", fault[2], "leave it out"]];
  return fault ? [fault] : [];
}

function judgeRange(param: Param, value: unknown, number: number, path: string): Fault[] {
  const said = `is ${wording.number(value)}`;
  if (param.min !== undefined && number < param.min) {
    return [[path, "minimum", `${said}, below ${wording.bounds(param)}`, wording.beyond(param.min)]];
  }
  if (param.max !== undefined && number > param.max) {
    return [[path, "maximum", `${said}, above ${wording.bounds(param)}`, wording.beyond(param.max)]];
  }
  return [];
}

function judgeMedia(value: unknown, path: string): Fault[] {
  if (typeof value !== "string") {
    return [[path, "type", `takes a string, got ${wording.kind(value)}`, wording.asOneMedia(value)]];
  }
  if (isMedia(value)) return [];
  return [[path, "media", "is neither an https URL nor an upload token", wording.asMedia(value)]];
}

function judgeList(param: Param, value: unknown): Fault[] {
  if (!Array.isArray(value)) {
    return [["", "type", `takes a list, got ${wording.kind(value)}`, wording.asList(value)]];
  }
  const items: readonly unknown[] = value;
  const faults: Fault[] = [];
  if (param.minItems !== undefined && items.length < param.minItems) {
    faults.push(["", "minItems", `has ${items.length} items; at least ${param.minItems} is expected`, null]);
  }
  if (param.maxItems !== undefined && items.length > param.maxItems) {
    faults.push(["", "maxItems", `has ${grouped(items.length)} items; at most ${param.maxItems} are taken`, null]);
  }
  let told = 0;
  for (const [index, item] of items.entries()) {
    for (const [path, code, message, hint] of judgeMedia(item, `/${index}`)) {
      faults.push([path, code, told === MANY ? `${message}; items after it are not told of` : message, hint]);
      told++;
    }
    if (told > MANY) break;
  }
  return faults;
}

function* judgeSize(param: Param, value: unknown): Iterable<Fault> {
  const presets = param.enum ?? [];
  if (typeof value === "string") {
    if (presets.includes(value)) return;
    yield ["", "enum", wording.notListed(value, presets).message, wording.asSize(value, presets)];
    return;
  }
  const size = membersOf(value);
  if (!size) {
    const message = `takes a preset's name or an object of width and height, got ${wording.kind(value)}`;
    yield ["", "type", message, wording.asSize(value, presets)];
    return;
  }
  const others = [...size.keys()].filter((key) => !SIDES.includes(key));
  const hints = new Map(others.slice(0, FEW).map((key) => [key, wording.side(key, size)]));
  const meant = [...hints.values()];
  const told = SIDES.filter((side) => size.has(side) || !meant.includes(wording.didYouMean(side)));
  const faults = told.flatMap((side) => judgeSide(param, size, side));
  yield* faults;
  if (SIDES.every((side) => size.has(side)) && !faults.length) {
    const [width, height] = SIDES.map((side) => size.get(side));
    const ratio = param.maxRatio ?? 1;
    if (!isWithinRatio(numberOf(width) ?? 0, numberOf(height) ?? 0, ratio)) {
      const both = `${wording.number(width)} x ${wording.number(height)}`;
      yield ["", "size", `is ${both}; the ratio goes from 1:${ratio} to ${ratio}:1`, null];
    }
  }
  for (const [index, key] of others.slice(0, MANY + 1).entries()) {
    const more = index === MANY ? moreLikeIt(others.length) : "";
    const message = `has no member ${wording.name(key)}; it has width and height${more}`;
    yield [wording.pointer(key), "additionalProperties", message, hints.get(key) ?? null];
  }
}

function judgeSide(param: Param, size: Values, side: string): Fault[] {
  if (!size.has(side)) return [[`/${side}`, "required", "is missing; a size has width and height", null]];
  const value = size.get(side);
  const number = numberOf(value);
  const step = param.multipleOf ?? 1;
  if (number === undefined || !Number.isInteger(number)) {
    return [[`/${side}`, "type", `takes an integer, got ${wording.kind(value)}`, wording.asSide(value, step)]];
  }
  const beyond = judgeRange(param, value, number, `/${side}`);
  if (beyond.length || number % step === 0) return beyond;
  const message = `is ${wording.wholeNumber(value)}, no multiple of ${step}`;
  return [[`/${side}`, "multipleOf", message, wording.multiple(number, step)]];
}
