/**
 * How values are named in messages, and how what was likely meant is told. Here lives no rule.
 *
 * No value that may be a secret (a URL, a token, a prompt) is repeated: only names, numbers and listed values are.
 */

import * as aliases from "./aliases.js";
import { ENVELOPE } from "./catalog.js";
import { membersOf, numberOf, numeralOf } from "./judged.js";
import { MODELS } from "./models/index.js";
import { modeOf, type Mode, type Model, type Param } from "./model.js";
import * as suggestion from "./suggestion.js";
import { floatText, leftStripped, shortNumber, SPACE, stripped } from "./text.js";

/** Integers from here on are told as short as other numbers. */
const LONG = 1e15;
/** Other models that take a param, beyond which naming them helps nobody. */
const FEW_MODELS = 3;
/** A word such as a name or a listed value: no URL, no token, no key, no sentence, nothing a terminal would act on. */
const isRepeatable = /* @__PURE__ */ new RegExp("^(?!prsp-|pl-upload-)[A-Za-z0-9_.:+-]{1,40}$");
const isPixels = /* @__PURE__ */ new RegExp(
  String.raw`^[${SPACE}]*([0-9]{1,5})[${SPACE}]*[x×*,][${SPACE}]*([0-9]{1,5})[${SPACE}]*$`,
);

/** The JSON type of a value, with the value itself where it is a number or a flag. */
export function kind(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "string") return "a string";
  if (numberOf(value) !== undefined) return `the number ${number(value)}`;
  if (numeralOf(value)) return "a number that is not finite";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return value === undefined ? "undefined" : `a ${typeof value}`;
}

/** A number as short as it can be told. */
export function number(value: unknown): string {
  const numeral = numeralOf(value);
  if (!numeral) return "";
  return numeral.isInteger && Math.abs(numeral.value) < LONG ? numeral.text : shortNumber(numeral.value);
}

/** A number with all its digits. */
export function wholeNumber(value: unknown): string {
  return numeralOf(value)?.text ?? "";
}

/** A key or id, quoted; what may be a secret is not repeated. */
export function name(key: string): string {
  return isRepeatable.test(key) ? `'${key}'` : "of the name given";
}

/** A JSON Pointer. */
export function pointer(...parts: readonly string[]): string {
  return parts.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

export function bounds(param: Param): string {
  const unit = param.unit ? ` ${param.unit}` : "";
  if (param.min === undefined || param.max === undefined) return `${limit(param.min ?? param.max ?? 0)}${unit}`;
  return `the range ${limit(param.min)} to ${limit(param.max)}${unit}`;
}

function limit(value: number): string {
  return Number.isInteger(value) ? String(value) : floatText(value);
}

export function didYouMean(meant: string | undefined): string | null {
  return meant ? `did you mean ${meant}?` : null;
}

/** A hint for an id that the catalog does not have, or for a list around one. */
export function modelId(value: unknown): string | null {
  const text = only(value);
  return text ? didYouMean(suggestion.model(text)) : null;
}

/** A hint for a mode that the model does not have, or for a list around one. */
export function modeId(value: unknown, model: Model): string | null {
  const text = only(value);
  if (!model.modes[0].onWire) return "leave mode out";
  if (!text) return null;
  const ids = model.modes.map((mode) => mode.id);
  const meant = suggestion.name(text, ids, aliases.modes);
  if (meant) return didYouMean(meant);
  const sibling = `${model.id}-${suggestion.fold(text)}`;
  if (MODELS.has(sibling)) return `did you mean the model ${sibling}?`;
  const param = suggestion.valueOf(text, model.modes[0]);
  if (param) return `${text} is a value of the param ${param}`;
  const family = [...MODELS.values()].filter((each) => each.family === model.family && modeOf(each, text));
  return family.length ? `${listed(family.map((each) => each.id))} ${family.length === 1 ? "has" : "have"} it` : null;
}

function listed(names: readonly string[]): string {
  return names.join(", ");
}

/** A string, or the one string of a list. */
function only(value: unknown): string {
  const item: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
  return typeof item === "string" ? item : "";
}

/** A hint for a member that no request has. */
export function member(key: string, request: ReadonlyMap<string, unknown>): string | null {
  const free = ENVELOPE.filter((each) => !request.has(each));
  return didYouMean(suggestion.name(key, free, aliases.members));
}

/** Whether a member means params: another object around them, or one more. */
export function isEnvelope(key: string): boolean {
  return suggestion.name(key, ["params"], aliases.members) === "params";
}

/** A hint for a param that the mode does not have, and the param of the mode that it means, if any. */
export function unknownParam(
  key: string,
  params: ReadonlyMap<string, unknown>,
  model: Model,
  mode: Mode,
): { hint: string | null; meant?: string } {
  const free = mode.params.map((row) => row.name).filter((each) => !params.has(each));
  const meant = suggestion.name(key, free, aliases.params);
  const modes = suggestion.elsewhere(key, model, mode);
  if (modes.length) {
    const [subject, takes] = modes.length === 1 ? ["mode", "takes"] : ["modes", "take"];
    if (meant && isPlural(key, meant)) {
      return { hint: `did you mean ${meant}? (${subject} ${listed(modes)} ${takes} ${key})`, meant };
    }
    return { hint: `${subject} ${listed(modes)} ${takes} it` };
  }
  if (isEnvelope(key) && membersOf(params.get(key))) return { hint: "its members stand in params itself" };
  if (ENVELOPE.includes(key)) return { hint: `${key} stands beside params, not inside` };
  if (meant) return { hint: didYouMean(meant), meant };
  for (const other of model.modes) {
    const names = other === mode ? [] : other.params.map((row) => row.name);
    const likely = suggestion.name(key, names, aliases.params);
    if (likely && !params.has(likely)) return { hint: `did you mean ${likely}? (mode ${other.id} takes it)` };
  }
  const models = suggestion.otherModels(key, model);
  if (models.length === 0 || models.length > FEW_MODELS) return { hint: null };
  return { hint: `${listed(models)} ${models.length === 1 ? "takes" : "take"} it` };
}

/** Whether one of two names is the other with an s. */
function isPlural(one: string, other: string): boolean {
  const folded = suggestion.fold(one);
  return suggestion.fold(other) === (folded.endsWith("s") ? folded.slice(0, -1) : `${folded}s`);
}

/** Message and hint for a string that a list does not hold. It is repeated where it resembles a listed one. */
export function notListed(value: string, allowed: readonly string[]): { message: string; hint: string | null } {
  const hint = didYouMean(suggestion.value(value, allowed));
  const got = hint && isRepeatable.test(value) ? `is '${value}', none of` : "is none of";
  return { message: `${got} ${listed(allowed)}`, hint };
}

/** true for "true", "yes" and 1; false for their opposites. */
export function asFlag(value: unknown): string | null {
  let text = numberOf(value)?.toString();
  if (typeof value === "string") {
    const lower = stripped(value).toLowerCase();
    text = aliases.values.get(lower)?.at(-1) ?? lower;
  }
  if (text === "true" || text === "1") return didYouMean("true");
  return text === "false" || text === "0" ? didYouMean("false") : null;
}

/** 5 for "5", for "5s" and for [5], where the param takes it. */
export function asNumber(value: unknown, param: Param): string | null {
  const item: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
  let meant = numberOf(item);
  if (typeof item === "string") {
    const found = suggestion.measure(item);
    meant = found && (found.unit === "" || found.unit === param.unit) ? found.number : undefined;
  }
  if (meant === undefined) return null;
  if ((param.min !== undefined && meant < param.min) || (param.max !== undefined && meant > param.max)) return null;
  return didYouMean(Math.abs(meant) < LONG ? number(meant) : shortNumber(meant));
}

/** The string "8s" for 8 and "true" for true, where the list has them; the one item of a list. */
export function asText(value: unknown, allowed: readonly string[] | undefined): string | null {
  const text = only(value);
  if (typeof value !== "string" && text) {
    return allowed?.includes(text) ? didYouMean(text) : "the item itself, without the list";
  }
  const numeral = typeof value === "boolean" ? numeralOf(Number(value)) : numeralOf(value);
  if (!allowed || !numeral) return null;
  const mayBeFlag = (numeral.value === 0 || numeral.value === 1) && allowed.includes("true");
  const isFlag = typeof value === "boolean" || mayBeFlag;
  let plain = isFlag ? String(numeral.value === 1) : kind(value).replace(/^the number /, "");
  // YAML 1.1 makes 969 of 16:9.
  const ratio = `${Math.floor(numeral.value / 60)}:${((numeral.value % 60) + 60) % 60}`;
  if ((numeral.isInteger || isFlag) && allowed.includes(ratio)) plain = ratio;
  const meant = allowed.includes(plain) ? plain : suggestion.value(plain, allowed);
  return didYouMean(meant === undefined ? undefined : `"${meant}"`);
}

/** The end of a range that a number lies beyond. */
export function beyond(end: number): string | null {
  return didYouMean(number(end));
}

/** What keeps a string from being a URL or a token, without repeating it. */
export function asMedia(value: string): string {
  if (value !== stripped(value)) return "without the white space around it";
  if (startsAlike(value, "http://")) return "https, not http";
  if (startsAlike(value, "pl-upload-")) return "an upload token is pl-upload- and 32 lower-case hexadecimal digits";
  if (value.startsWith("//")) return "https: in front of it";
  if (startsAlike(value, "https://")) return "a host after https://, and no white space";
  if (hasHost(value)) return "https:// in front of it";
  return "a public https URL; or upload the file, and give its token";
}

function startsAlike(value: string, beginning: string): boolean {
  return value.slice(0, beginning.length).toLowerCase() === beginning;
}

/** Whether a text begins with a host of two labels or more, and a slash. */
function hasHost(value: string): boolean {
  const end = value.indexOf("/");
  const labels = value.slice(0, Math.max(end, 0)).split(".");
  const isTop = /^[A-Za-z]{2,}$/.test(labels.at(-1) ?? "");
  return labels.length > 1 && isTop && labels.every((label) => /^[A-Za-z0-9-]+$/.test(label));
}

/** A URL in a list or an object, where one URL is taken. */
export function asOneMedia(value: unknown): string | null {
  if (Array.isArray(value) && value.length === 1 && typeof value[0] === "string") {
    return "the URL itself, without the list";
  }
  for (const item of membersOf(value)?.values() ?? []) {
    if (typeof item === "string") return "the URL itself, without the object";
  }
  return null;
}

/** One URL where a list of them is taken. */
export function asList(value: unknown): string | null {
  if (membersOf(value)) return "a list of URLs, without the object";
  return typeof value === "string" ? "a list of one: brackets around it" : null;
}

/** Width and height out of "1024x1536", of [1024, 1536] and of a preset's other names. */
export function asSize(value: unknown, presets: readonly string[]): string | null {
  if (typeof value === "string") {
    const match = isPixels.exec(value);
    return match ? sides(Number(match[1]), Number(match[2])) : didYouMean(suggestion.value(value, presets));
  }
  if (Array.isArray(value)) return value.length === 2 ? sides(value[0], value[1]) : null;
  return sides(value, value);
}

function sides(width: unknown, height: unknown): string | null {
  if (numberOf(width) === undefined || numberOf(height) === undefined) return null;
  return didYouMean(`{"width": ${wholeNumber(width)}, "height": ${wholeNumber(height)}}`);
}

/** The nearest multiple; of two the larger. */
export function multiple(value: number, step: number): string | null {
  return didYouMean(String(Math.floor(value / step + 0.5) * step));
}

/** A hint for params that are no object. */
export function asObject(value: unknown): string | null {
  if (typeof value === "string" && leftStripped(value).startsWith("{")) return "the object itself, not its text";
  if (Array.isArray(value) && value.length === 1 && membersOf(value[0])) return "the object itself, without the list";
  return null;
}

/** A hint for a member that no size has. */
export function side(key: string, size: ReadonlyMap<string, unknown>): string | null {
  const free = ["width", "height"].filter((each) => !size.has(each));
  const short = new Map([
    ["w", ["width"]],
    ["h", ["height"]],
  ]);
  return didYouMean(suggestion.name(key, free, short));
}

/** 1024 for "1024" and for 1024.5. */
export function asSide(value: unknown, step: number): string | null {
  let meant = numberOf(value);
  if (typeof value === "string") {
    const found = suggestion.measure(value);
    meant = found && (found.unit === "" || found.unit === "p") ? found.number : undefined;
  }
  return meant === undefined ? null : multiple(meant, step);
}
