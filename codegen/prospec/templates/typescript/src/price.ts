/** What a request costs, by the published prices. Here lives no price: those are in the catalog. */

import { InvalidRequest } from "./errors.js";
import { membersOf, numberOf } from "./judged.js";
import { evidenceOf, modeOf, type Evidence, type Mode, type Param, type Price, type Rate } from "./model.js";
import { MODELS } from "./models/index.js";
import { validate } from "./rules.js";

/** Some models write a duration as a string with this suffix: "8s". */
export const PARAM_SECONDS = "s";
const WEAKEST_FIRST: readonly Evidence[] = ["assumed", "inferred", "documented"];

/** What a request costs, in USD. Undefined where nothing is published that tells. */
export interface Quote {
  readonly lowUsd: number | undefined;
  /** Above `lowUsd` where the documentation leaves a range. */
  readonly highUsd: number | undefined;
  /** How well the range is known. */
  readonly evidence: Evidence | undefined;
  /** The one figure that is most likely; undefined where the range has none. */
  readonly usd: number | undefined;
  readonly usdEvidence: Evidence | undefined;
  readonly unit: "second" | "image" | undefined;
  /** What the figures rest on, and the entries of gaps.toml that leave them open. */
  readonly notes: readonly string[];
}

const UNKNOWN: Omit<Quote, "unit" | "notes"> = {
  lowUsd: undefined,
  highUsd: undefined,
  evidence: undefined,
  usd: undefined,
  usdEvidence: undefined,
};

/**
 * What a request costs if it is accepted. Throws InvalidRequest for one that would be refused.
 *
 * A param that the request leaves out counts with its default, as well known as that is.
 */
export function quote(request: unknown): Quote {
  const problems = validate(request).filter((problem) => problem.severity === "error");
  if (problems.length) throw new InvalidRequest(problems);
  return estimate(request);
}

/** `quote` of a request that has been judged: it has a known model and mode, and an object of params. */
export function estimate(request: unknown): Quote {
  const members = membersOf(request);
  const model = MODELS.get(members?.get("model") as string);
  const mode = model && modeOf(model, members?.get("mode") as string | undefined);
  const params = membersOf(members?.get("params"));
  if (!model?.price || !mode || !params) {
    return { ...UNKNOWN, unit: undefined, notes: ["no price is published"] };
  }
  return quoteOf(model.price, mode, params);
}

function quoteOf(price: Price, mode: Mode, params: ReadonlyMap<string, unknown>): Quote {
  const leftOut = mode.params.filter((param) => param.default !== undefined && !params.has(param.name));
  const effective = new Map([...leftOut.map((param) => [param.name, param.default] as const), ...params]);
  const notes = [...(price.note ? [price.note] : []), ...price.gaps.map((gap) => `see ${gap}`)];
  const quantity = quantityOf(price, mode, effective);
  const rate = price.rates.find((each) => each.when.every(([name, value]) => isSame(effective.get(name), value)));
  if (!quantity || !rate) {
    return { ...UNKNOWN, unit: price.unit, notes: ["no price is published for these params", ...notes] };
  }
  const { fewest, most } = quantity;
  const counts = [price.quantity ?? price.longestBy, ...rate.when.map(([name]) => name)];
  const known: Evidence[] = [rate.evidence];
  for (const param of leftOut) if (counts.includes(param.name)) known.push(evidenceOf(param, "default"));
  if (isAbove(most, decimal("1"))) known.push(price.quantityEvidence);
  // Documented is the range over the params whose effect is inferred; which of its rates applies is inferred then.
  const alike = price.rates.filter((each) => documented(price, each) === documented(price, rate));
  const isOpen = fewest !== most || rate.low !== rate.high;
  const lows = alike.map((each) => dollars(each.low, fewest));
  const highs = alike.map((each) => dollars(each.high, most));
  return {
    lowUsd: Math.min(...lows),
    highUsd: Math.max(...highs),
    evidence: weakest(known),
    usd: isOpen ? undefined : dollars(rate.low, most),
    usdEvidence: isOpen ? undefined : weakest(alike.length === 1 ? known : [...known, "inferred"]),
    unit: price.unit,
    notes,
  };
}

/** Whether a value is that of a condition; 1 and 0 are true and false. */
function isSame(value: unknown, condition: string | boolean): boolean {
  return value === condition || (typeof condition === "boolean" && numberOf(value) === Number(condition));
}

/** The conditions of a rate that are documented to make it so, as text. */
function documented(price: Price, rate: Rate): string {
  return JSON.stringify(rate.when.filter(([name]) => !price.inferred.includes(name)));
}

function weakest(known: readonly Evidence[]): Evidence | undefined {
  return WEAKEST_FIRST.find((each) => known.includes(each));
}

/** The fewest and the most units that a request is charged for. */
function quantityOf(
  price: Price,
  mode: Mode,
  effective: ReadonlyMap<string, unknown>,
): { fewest: Decimal; most: Decimal } | undefined {
  if (price.quantity === undefined) {
    const value = effective.get(price.longestBy ?? "");
    const longest = price.longest.find(([of]) => of === value);
    return longest && { fewest: decimal("0"), most: decimal(String(longest[1])) };
  }
  const value = effective.get(price.quantity);
  const text = numberText(value);
  const row = mode.params.find((param) => param.name === price.quantity);
  if (text === undefined || !row || !isWithin(row, value, Number(text))) return undefined;
  const units = decimal(text);
  return { fewest: units, most: units };
}

function isWithin(row: Param, value: unknown, number: number): boolean {
  if (number <= 0 || (row.enum?.length && !row.enum.some((each) => each === value))) return false;
  return !(row.min !== undefined && number < row.min) && !(row.max !== undefined && number > row.max);
}

/** 8 as text, of 8 and of "8s". */
function numberText(value: unknown): string | undefined {
  if (typeof value !== "string") return numberOf(value)?.toString();
  const digits = value.endsWith(PARAM_SECONDS) ? value.slice(0, -PARAM_SECONDS.length) : value;
  return /^[0-9]+$/.test(digits) ? digits : undefined;
}

/** A decimal number without loss: units times 10 to the power of -scale. */
interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

function decimal(text: string): Decimal {
  const [mantissa = "", exponent = "0"] = text.split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const scale = fraction.length - Number(exponent);
  const digits = BigInt(whole + fraction);
  return scale < 0 ? { units: digits * 10n ** BigInt(-scale), scale: 0 } : { units: digits, scale };
}

function isAbove(one: Decimal, other: Decimal): boolean {
  return one.units * 10n ** BigInt(other.scale) > other.units * 10n ** BigInt(one.scale);
}

/** A rate times a quantity, multiplied as decimal numbers are. */
function dollars(rate: string, quantity: Decimal): number {
  const { units, scale } = decimal(rate);
  return Number(`${units * quantity.units}e-${scale + quantity.scale}`);
}
