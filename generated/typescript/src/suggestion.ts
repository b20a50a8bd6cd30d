/**
 * What was likely meant: by a misspelt name, by a value of another list, by a name of another API.
 *
 * Every function is a ladder: the first rung that holds decides, so that a suggestion can be told in a word and written
 * in any language. Here live no rule and no message, and no alias: those are in `aliases`, from spec/aliases.toml.
 */

import * as aliases from "./aliases.js";
import { MODELS } from "./models/index.js";
import type { Mode, Model } from "./model.js";
import { beginning, SPACE } from "./text.js";

/** Characters of a name that are looked at: nothing in the catalog is half as long. */
const LONGEST = 80;
/** How far apart, as the logarithm of their quotient, two ratios may be that mean the same. */
const ALIKE = 0.02;
/** The same for two that may be taken for one another: from 1:1 to 16:9 it is 0.575. */
const NEAR = 0.6;
const UNITS: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([
  ["sec", "s"],
  ["secs", "s"],
  ["second", "s"],
  ["seconds", "s"],
  ["px", "p"],
  ["pixels", "p"],
]);
const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern.replaceAll("\\s", `[${SPACE}]`)})$`);
const isMeasure = /* @__PURE__ */ whole(String.raw`\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?:([a-z]+)\s*)?`);
const isRatio = /* @__PURE__ */ whole(
  String.raw`\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*[:x×/*_,：\-]\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(?:px)?`,
);
const isDecimal = /* @__PURE__ */ whole(String.raw`[0-9]\.[0-9]{1,4}`);

/** Lower-case letters and digits alone: 16x9, 16:9 and 16 / 9 are one, and so are aspectRatio and aspect_ratio. */
export function fold(text: string): string {
  const lower = beginning(text, LONGEST).toLowerCase();
  let folded = "";
  for (let at = 0; at < lower.length; at++) {
    const letter = lower.charAt(at);
    const isTimes = letter === "x" && isDigit(lower.charAt(at - 1)) && isDigit(lower.charAt(at + 1));
    if (!isTimes && (isDigit(letter) || (letter >= "a" && letter <= "z"))) folded += letter;
  }
  return folded;
}

function isDigit(letter: string): boolean {
  return letter >= "0" && letter <= "9";
}

/** The candidate that a name means: the same letters, an alias, a slip of the hand, a part of it. */
export function name(text: string, candidates: readonly string[], known: aliases.Aliases): string | undefined {
  const folded = fold(text);
  if (!folded) return undefined;
  return (
    candidates.find((candidate) => fold(candidate) === folded) ??
    known.get(folded)?.find((meant) => candidates.includes(meant)) ??
    slip(folded, candidates) ??
    part(folded, candidates)
  );
}

/** The candidate within a few slips: one for every four letters, and at least one of three. */
function slip(folded: string, candidates: Iterable<string>): string | undefined {
  let found: string | undefined;
  let fewest = 0;
  for (const candidate of candidates) {
    const other = fold(candidate);
    const most = Math.max(1, Math.floor(Math.max(folded.length, other.length) / 4));
    if (Math.min(folded.length, other.length) < 3) continue;
    const slips = distance(folded, other, most);
    if (slips <= most && (found === undefined || slips < fewest)) {
      found = candidate;
      fewest = slips;
    }
  }
  return found;
}

/** The candidate that shares the longest beginning or end with a name, one of them being all of it. */
function part(folded: string, candidates: Iterable<string>): string | undefined {
  let found: string | undefined;
  let longest = 3;
  for (const candidate of candidates) {
    const other = fold(candidate);
    const [short, long] = other.length < folded.length ? [other, folded] : [folded, other];
    if (short.length > longest && (long.startsWith(short) || long.endsWith(short))) {
      found = candidate;
      longest = short.length;
    }
  }
  return found;
}

/** Slips between two words: a letter more, less or another, or two neighbours swapped; `most` + 1 for beyond. */
function distance(one: string, other: string, most: number): number {
  if (Math.abs(one.length - other.length) > most) return most + 1;
  let before: number[] = [];
  let above = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row++) {
    const line = [row];
    const letter = one.charAt(row - 1);
    for (let column = 1; column <= other.length; column++) {
      const against = other.charAt(column - 1);
      let least = Math.min(
        at(above, column) + 1,
        at(line, column - 1) + 1,
        at(above, column - 1) + (letter === against ? 0 : 1),
      );
      if (row > 1 && column > 1 && letter === other.charAt(column - 2) && one.charAt(row - 2) === against) {
        least = Math.min(least, at(before, column - 2) + 1);
      }
      line.push(least);
    }
    if (Math.min(...line) > most) return most + 1;
    [before, above] = [above, line];
  }
  return Math.min(at(above, other.length), most + 1);
}

function at(line: readonly number[], column: number): number {
  return line[column] ?? Infinity;
}

/** The listed value that a string means: the same letters, an alias, the nearest ratio or measure, a slip. */
export function value(text: string, listed: readonly string[]): string | undefined {
  const folded = fold(text);
  const same =
    listed.find((candidate) => fold(candidate) === folded) ??
    aliases.values.get(folded)?.find((meant) => listed.includes(meant));
  if (same !== undefined) return same;
  const near = nearestRatio(text, listed) ?? nearestMeasure(text, listed);
  if (near !== undefined || isDecimal.test(text) || isRatio.test(lowered(text))) return near;
  return folded && !/^[0-9]*$/.test(folded) ? (slip(folded, listed) ?? part(folded, listed)) : undefined;
}

function lowered(text: string): string {
  return beginning(text, LONGEST).toLowerCase();
}

/** 16:9 for 1920x1080, for 1.78 and for 16:10; nothing where two are equally near, or none is. */
function nearestRatio(text: string, listed: readonly string[]): string | undefined {
  const match = isRatio.exec(lowered(text));
  let wanted: number | undefined;
  if (match) wanted = quotient(Number(match[1]), Number(match[2]));
  else wanted = isDecimal.test(text) ? Number(text) : ratioOf(beginning(text, LONGEST));
  if (!wanted) return undefined;
  const apart: [distance: number, candidate: string][] = [];
  for (const candidate of listed) {
    const ratio = ratioOf(candidate);
    if (ratio !== undefined) apart.push([Number(Math.abs(Math.log(ratio / wanted)).toFixed(6)), candidate]);
  }
  apart.sort(([one], [other]) => one - other);
  const [first, second] = apart;
  if (first && first[0] <= NEAR && (first[0] <= ALIKE || !second || first[0] < second[0])) return first[1];
  if (match && !first) {
    // 1920x1080 where the list has 1080p, 2048x2048 where it has 2K
    const [, width = "", height = ""] = match;
    const [short, long] = Number(height) < Number(width) ? [height, width] : [width, height];
    return nearestMeasure(`${short}p`, listed) ?? nearestMeasure(long, listed);
  }
  return undefined;
}

/** Width by height of a listed value such as 16:9, portrait_16_9 or square_hd. */
function ratioOf(listed: string): number | undefined {
  if (listed.startsWith("square")) return 1;
  const match = isRatio.exec(withoutPrefix(withoutPrefix(listed, "landscape_"), "portrait_"));
  if (!match) return undefined;
  let [width, height] = [Number(match[1]), Number(match[2])];
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  if (listed.startsWith("landscape_")) [width, height] = [long, short];
  if (listed.startsWith("portrait_")) [width, height] = [short, long];
  return quotient(width, height) || undefined;
}

function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}

function quotient(width: number, height: number): number {
  return width && height ? width / height : 0;
}

/** 8s for 8, for 8 seconds and for 10s; 1080p for 1080; the first of two equally near. */
function nearestMeasure(text: string, listed: readonly string[]): string | undefined {
  const wanted = measure(text);
  if (!wanted) return undefined;
  let found: string | undefined;
  let least = Infinity;
  for (const candidate of listed) {
    const known = measure(candidate);
    if (!known || (wanted.unit !== "" && wanted.unit !== known.unit)) continue;
    const isInPixels = known.unit === "k" && wanted.unit === "" && wanted.number >= 512;
    const apart = Math.abs(known.number - (isInPixels ? wanted.number / 1024 : wanted.number));
    if (apart < least) {
      found = candidate;
      least = apart;
    }
  }
  return found;
}

/** 8 and s for 8s and for "8 seconds"; 5 and "" for 5. */
export function measure(text: string): { number: number; unit: string } | undefined {
  const match = isMeasure.exec(lowered(text));
  if (!match) return undefined;
  const unit = match[2] ?? "";
  return { number: Number(match[1]), unit: UNITS.get(unit) ?? unit };
}

/** The model that an id means: its id or name, the id of an upstream endpoint, an alias, a slip, a part. */
export function model(text: string): string | undefined {
  const start = beginning(text, LONGEST);
  // kling-3.0 is kling-3
  return meantModel(start) ?? meantModel(start.replace(/[.-]0(?![0-9])/g, ""));
}

function meantModel(text: string): string | undefined {
  const known = namesOfModels();
  // google/veo-3.1-fast: what stands behind a vendor, and what behind that
  const parts = text.split("/");
  for (let start = 0; start < parts.length; start++) {
    const folded = fold(parts.slice(start).join("/"));
    const found = known.get(folded) ?? aliases.models.get(folded)?.[0];
    if (found !== undefined) return found;
  }
  const folded = fold(text);
  const near = slip(folded, known.keys()) ?? within(folded, known.keys()) ?? around(folded, known.keys());
  return near === undefined ? undefined : known.get(near);
}

/** The longest name that a word holds. */
function within(folded: string, known: Iterable<string>): string | undefined {
  let found = "";
  for (const each of known) if (folded.includes(each) && each.length > found.length) found = each;
  return found || undefined;
}

/** The shortest name that begins with a word. */
function around(folded: string, known: Iterable<string>): string | undefined {
  let found: string | undefined;
  if (folded.length < 3) return undefined;
  for (const each of known) {
    if (each.startsWith(folded) && (found === undefined || each.length < found.length)) found = each;
  }
  return found;
}

let names: Map<string, string> | undefined;

/** Every name of a model, folded, and the model's id. */
function namesOfModels(): ReadonlyMap<string, string> {
  if (names) return names;
  names = new Map([...MODELS.keys()].map((id) => [fold(id), id]));
  for (const [id, each] of MODELS) {
    const more = [each.name, ...each.modes.flatMap((mode) => endpoints(mode.upstream ?? ""))].map(fold);
    for (const name of more) if (!names.has(name)) names.set(name, id);
  }
  return names;
}

/** An endpoint's id; several where braces list alternatives. */
function endpoints(upstream: string): string[] {
  const match = /\{([^{}]*)\}/.exec(upstream);
  if (!match) return upstream ? [upstream] : [];
  const [before, after] = [upstream.slice(0, match.index), upstream.slice(match.index + match[0].length)];
  return (match[1] ?? "").split(",").map((each) => before + each + after);
}

/** The other modes of a model that take a param of that name. */
export function elsewhere(key: string, model: Model, mode: Mode): string[] {
  return model.modes.filter((other) => other !== mode && has(other, key)).map((other) => other.id);
}

/** The other models that take a param of that name; those of its family alone, where there are any. */
export function otherModels(key: string, model: Model): string[] {
  const takers = [...MODELS.values()].filter((each) => each !== model && each.modes.some((mode) => has(mode, key)));
  const family = takers.filter((each) => each.family === model.family);
  return (family.length ? family : takers).map((each) => each.id);
}

function has(mode: Mode, key: string): boolean {
  return mode.params.some((row) => row.name === key);
}

/** The param of a mode whose list holds a value: quality for pro, and for std. */
export function valueOf(text: string, mode: Mode): string | undefined {
  const meant = [text, ...(aliases.values.get(fold(text)) ?? []).slice(0, 1)];
  return mode.params.find((row) => row.enum?.some((each) => meant.includes(each)))?.name;
}
