/**
 * Text by characters, and numbers as text, alike in every language that this package is made for.
 *
 * JavaScript counts UTF-16 units, takes other characters for white space, and writes some numbers otherwise.
 * Here live no messages.
 */

/** White space, as the inside of a class of a regular expression. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const outside = /* @__PURE__ */ new RegExp(`[^${SPACE}]`);

/** The first `most` characters. */
export function beginning(text: string, most: number): string {
  let end = 0;
  for (let count = 0; count < most && end < text.length; count++) end += isPair(text, end) ? 2 : 1;
  return text.slice(0, end);
}

/** The text without the white space at its beginning. */
export function leftStripped(text: string): string {
  const start = text.search(outside);
  return start < 0 ? "" : text.slice(start);
}

/** The text without the white space around it. */
export function stripped(text: string): string {
  const rest = leftStripped(text);
  let end = rest.length;
  while (end > 0 && !outside.test(rest.charAt(end - 1))) end--;
  return rest.slice(0, end);
}

/** The number of characters from `start` to `end`. */
export function countBetween(text: string, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; at += isPair(text, at) ? 2 : 1) count++;
  return count;
}

/** Whether both halves of a surrogate pair stand at a place. */
function isPair(text: string, at: number): boolean {
  return isHigh(text.charCodeAt(at)) && isLow(text.charCodeAt(at + 1));
}

function isHigh(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}

function isLow(unit: number): boolean {
  return (unit & 0xfc00) === 0xdc00;
}

const { isWellFormed } = String.prototype as { isWellFormed?: (this: string) => boolean };

/** Whether a surrogate of the text has no other half. */
export function hasHalfPair(text: string): boolean {
  if (isWellFormed) return !isWellFormed.call(text);
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if ((unit & 0xf800) !== 0xd800) continue;
    if (!isPair(text, at)) return true;
    at++;
  }
  return false;
}

/** 1048576 as 1,048,576. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:[0-9]{3})+$)/g, ",");
}

/** A number with at most 12 significant digits: 16, 0.5, 1.5e+20. */
export function shortNumber(value: number): string {
  const { sign, digits, exponent } = parts(value, 60);
  return laidOut(sign, ...rounded(digits, exponent), 12);
}

/** A floating-point number with as many digits as tell it from its neighbours: 16.0, 0.5, 1.5e+20. */
export function floatText(value: number): string {
  const { sign, digits, exponent } = parts(value);
  const text = laidOut(sign, digits, exponent, 16);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** The decimal digits of a number, and the power of ten of the first. */
function parts(value: number, fraction?: number): { sign: string; digits: string; exponent: number } {
  const [mantissa = "", exponent] = Math.abs(value).toExponential(fraction).split("e");
  const digits = mantissa.replace(".", "").replace(/0+$/, "") || "0";
  return { sign: value < 0 || Object.is(value, -0) ? "-" : "", digits, exponent: Number(exponent) };
}

/** The first 12 digits, rounded; of two that are equally near, the even one. */
function rounded(digits: string, exponent: number): [digits: string, exponent: number] {
  if (digits.length <= 12) return [digits, exponent];
  const [kept, rest] = [Number(digits.slice(0, 12)), digits.slice(12)];
  const isUp = rest === "5" ? kept % 2 === 1 : rest >= "5";
  const made = String(isUp ? kept + 1 : kept);
  return [made.slice(0, 12).replace(/0+$/, ""), exponent + made.length - 12];
}

/** Digits in full, or with an exponent below 0.0001 and from 10 to the power of `limit` on. */
function laidOut(sign: string, digits: string, exponent: number, limit: number): string {
  if (exponent < -4 || exponent >= limit) {
    const power = String(Math.abs(exponent)).padStart(2, "0");
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    return `${sign}${digits.charAt(0)}${fraction}e${exponent < 0 ? "-" : "+"}${power}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  const fraction = digits.slice(exponent + 1);
  return `${sign}${whole}${fraction && `.${fraction}`}`;
}
