/**
 * From bytes to a JSON value, by the validation profile: UTF-8, bounded size and depth, finite numbers, whole text.
 *
 * JSON.parse tells what is wrong with a text otherwise in every browser, and of one that is right not all that a
 * message may need; for a verdict alone it suffices, after `checkedText`. Here lives no rule about requests.
 */

import { Members, Numeral } from "./judged.js";
import { NotJSON } from "./problem.js";
import { countBetween, grouped, hasHalfPair } from "./text.js";

const MAX_BYTES = 1 << 20;
const MAX_DEPTH = 64;
/** Levels of lists and objects that a judge looks into. What they hold deeper down is read, and not kept. */
const KEPT_LEVELS = 4;
/** Levels that are read, for the sake of a mistake that comes before the end; beyond, depth is the mistake. */
const MAX_LEVELS = 980;
/** Digits in a row from which on a number may be beyond the range of a double without an exponent of three digits. */
const LONG = 200;
/** With what may follow a number: addresses hold such digits as well, and other characters behind them. */
const hasLongExponent = /* @__PURE__ */ new RegExp("[0-9][eE][+]?[0-9]{3,}(?:[\\s,}\\]]|$)");
/** The escape of a surrogate without that of its other half, in a text without escaped backslashes. */
const hasHalfEscape = /* @__PURE__ */ new RegExp(
  String.raw`\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])`,
);
const decoder = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The text of `data`, which then is JSON by the profile if JSON.parse takes it. Throws NotJSON where it is none.
 *
 * JSON.parse looks at neither size nor depth, lets numbers overflow and halves of surrogates pass, and what a later
 * member of the same name overwrites is gone. Where a text may hold such a thing, it is read with care first.
 */
export function checkedText(data: Uint8Array | string): string {
  const text = decoded(data);
  if (mayBeHalf(text) || hasManyBrackets(text) || hasLongExponent.test(text) || hasLongNumber(text)) read(text, 0);
  return text;
}

function mayBeHalf(text: string): boolean {
  return text.includes("\\u") && (text.includes("\\\\") || hasHalfEscape.test(text));
}

function hasManyBrackets(text: string): boolean {
  let left = MAX_DEPTH;
  for (const bracket of "[{") {
    for (let at = text.indexOf(bracket); at >= 0; at = text.indexOf(bracket, at + 1)) {
      if (--left < 0) return true;
    }
  }
  return false;
}

function hasLongNumber(text: string): boolean {
  for (let at = LONG - 1; at < text.length; at += LONG) {
    if (!isDigit(text.charCodeAt(at))) continue;
    let [start, end] = [at, at];
    while (start > 0 && isDigit(text.charCodeAt(start - 1))) start--;
    while (end < text.length && end - start < LONG && isDigit(text.charCodeAt(end))) end++;
    if (end - start >= LONG) return true;
  }
  return false;
}

/** The JSON value of `data`; of two equal keys the last one wins. Throws NotJSON alone, saying why. */
export function parse(data: Uint8Array | string): unknown {
  return read(decoded(data), KEPT_LEVELS);
}

function read(text: string, keptLevels: number): unknown {
  const reader = new Reader(text, keptLevels);
  const value = reader.whole();
  if (reader.deepest > MAX_DEPTH) throw tooDeep();
  if (reader.hasHalfPair) throw halfPair();
  return value;
}

function decoded(data: Uint8Array | string): string {
  const isText = typeof data === "string";
  const count = isText && data.length > MAX_BYTES / 3 ? new TextEncoder().encode(data).length : data.length;
  if (count > MAX_BYTES) throw new NotJSON(`${grouped(count)} bytes; at most ${grouped(MAX_BYTES)} are read`);
  if (isText) {
    if (hasHalfPair(data)) throw halfPair();
    return data;
  }
  try {
    return decoder.decode(data);
  } catch {
    throw new NotJSON(`not UTF-8, at byte ${firstBadByte(data)}`);
  }
}

function tooDeep(): NotJSON {
  return new NotJSON(`nested more than ${MAX_DEPTH} deep`);
}

function halfPair(): NotJSON {
  return new NotJSON("a surrogate without its other half, which UTF-8 cannot carry");
}

/** Where bytes cease to be UTF-8: the first byte of the sequence that is none. */
function firstBadByte(data: Uint8Array): number {
  let at = 0;
  while (at < data.length) {
    const lead = data[at] ?? 0;
    const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    const second = data[at + 1] ?? 0;
    // Not overlong, no surrogate, nothing beyond U+10FFFF.
    const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (length === 0 || (length > 1 && (second < low || second > high))) return at;
    for (let next = at + 2; next < at + length; next++) {
      if (((data[next] ?? 0) & 0xc0) !== 0x80) return at;
    }
    at += length;
  }
  return at;
}

const [QUOTE, COMMA, MINUS, PLUS, POINT, COLON, BACKSLASH] = [0x22, 0x2c, 0x2d, 0x2b, 0x2e, 0x3a, 0x5c];
const [LIST, LIST_END, OBJECT, OBJECT_END] = [0x5b, 0x5d, 0x7b, 0x7d];
/** What may stand behind a backslash, but for u. */
const ESCAPES = '"\\/bfnrt';
const WORDS: readonly (readonly [word: string, value: unknown])[] = [
  ["null", null],
  ["true", true],
  ["false", false],
];
const EMPTY = /* @__PURE__ */ new Members(/* @__PURE__ */ new Map());
/** What some writers of JSON take for numbers. */
const NO_NUMBERS = ["NaN", "Infinity", "-Infinity"];

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function isHexDigit(code: number): boolean {
  const lower = code | 0x20;
  return isDigit(code) || (lower >= 0x61 && lower <= 0x66);
}

/** Reads one text. What is wrong with it is told as the other languages tell it. */
class Reader {
  deepest = 0;
  hasHalfPair = false;
  readonly #text: string;
  readonly #keptLevels: number;
  #at = 0;
  #depth = 0;

  constructor(text: string, keptLevels: number) {
    this.#text = text;
    this.#keptLevels = keptLevels;
  }

  whole(): unknown {
    if (this.#text.startsWith("\ufeff")) throw this.#error("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0);
    this.#space();
    const value = this.#value();
    this.#space();
    if (this.#at < this.#text.length) throw this.#error("Extra data");
    return value;
  }

  #error(said: string, at = this.#at): NotJSON {
    let [line, start] = [1, 0];
    for (let end = this.#text.indexOf("\n"); end >= 0 && end < at; end = this.#text.indexOf("\n", start)) {
      line++;
      start = end + 1;
    }
    return new NotJSON(`${said}, at line ${line} column ${countBetween(this.#text, start, at) + 1}`);
  }

  #code(): number {
    return this.#text.charCodeAt(this.#at);
  }

  #space(): void {
    let code = this.#code();
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      this.#at++;
      code = this.#code();
    }
  }

  #value(): unknown {
    switch (this.#code()) {
      case QUOTE:
        return this.#string();
      case OBJECT:
        return this.#object();
      case LIST:
        return this.#list();
      default:
        return this.#word();
    }
  }

  #enter(): void {
    this.#at++;
    this.#depth++;
    if (this.#depth > MAX_LEVELS) throw tooDeep();
    if (this.#depth > this.deepest) this.deepest = this.#depth;
    this.#space();
  }

  #leave(): void {
    this.#at++;
    this.#depth--;
  }

  #object(): Members {
    this.#enter();
    const members = this.#depth <= this.#keptLevels ? new Map<string, unknown>() : undefined;
    let isLast = this.#code() === OBJECT_END;
    while (!isLast) {
      if (this.#code() !== QUOTE) throw this.#error("Expecting property name enclosed in double quotes");
      const name = this.#string();
      this.#space();
      if (this.#code() !== COLON) throw this.#error("Expecting ':' delimiter");
      this.#at++;
      this.#space();
      const value = this.#value();
      members?.set(name, value);
      isLast = this.#isLast(OBJECT_END);
    }
    this.#leave();
    return members?.size ? new Members(members) : EMPTY;
  }

  #list(): unknown[] {
    this.#enter();
    const items: unknown[] = [];
    const isKept = this.#depth <= this.#keptLevels;
    let isLast = this.#code() === LIST_END;
    while (!isLast) {
      const value = this.#value();
      if (isKept) items.push(value);
      isLast = this.#isLast(LIST_END);
    }
    this.#leave();
    return items;
  }

  /** Whether the end follows; if not, a comma does. */
  #isLast(end: number): boolean {
    this.#space();
    if (this.#code() === end) return true;
    if (this.#code() !== COMMA) throw this.#error("Expecting ',' delimiter");
    this.#at++;
    this.#space();
    return false;
  }

  #word(): unknown {
    const code = this.#code();
    const next = this.#text.charCodeAt(this.#at + 1);
    if (isDigit(code) || (code === MINUS && isDigit(next))) return this.#number();
    for (const [word, value] of WORDS) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    const constant = NO_NUMBERS.find((word) => this.#text.startsWith(word, this.#at));
    throw constant ? new NotJSON(`${constant} is not a JSON number`) : this.#error("Expecting value");
  }

  #number(): unknown {
    const start = this.#at;
    if (this.#code() === MINUS) this.#at++;
    const isZero = this.#code() === 0x30;
    this.#at++;
    if (!isZero) this.#digits();
    const whole = this.#at;
    if (this.#code() === POINT && isDigit(this.#text.charCodeAt(this.#at + 1))) {
      this.#at++;
      this.#digits();
    }
    if ((this.#code() | 0x20) === 0x65) {
      const exponent = this.#at;
      this.#at++;
      if (this.#code() === PLUS || this.#code() === MINUS) this.#at++;
      if (isDigit(this.#code())) this.#digits();
      else this.#at = exponent;
    }
    const text = this.#text.slice(start, this.#at);
    const value = Number(text);
    if (!Number.isFinite(value)) throw new NotJSON("a number beyond the range of a double");
    if (this.#at > whole) return Number.isSafeInteger(value) ? new Numeral(value) : value;
    if (value === 0) return 0;
    return Number.isSafeInteger(value) ? value : new Numeral(value, text);
  }

  #digits(): void {
    while (isDigit(this.#code())) this.#at++;
  }

  #string(): string {
    const text = this.#text;
    const quote = this.#at;
    let hasEscape = false;
    let hasCode = false;
    for (let at = quote + 1; ; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        this.#at = at + 1;
        if (!hasEscape) return text.slice(quote + 1, at);
        // It is right, so what it stands for is told by the quickest that can.
        const made = JSON.parse(text.slice(quote, at + 1)) as string;
        if (hasCode) this.hasHalfPair ||= hasHalfPair(made);
        return made;
      }
      if (code === BACKSLASH) {
        hasEscape = true;
        const letter = text.charAt(at + 1);
        if (letter === "") throw this.#error("Unterminated string starting at", quote);
        if (letter === "u") {
          hasCode = true;
          this.#checkCode(at + 2);
          at += 5;
        } else {
          if (!ESCAPES.includes(letter)) throw this.#error("Invalid \\escape", at);
          at++;
        }
      } else if (code < 0x20) {
        throw this.#error("Invalid control character at", at);
      } else if (Number.isNaN(code)) {
        throw this.#error("Unterminated string starting at", quote);
      }
    }
  }

  /** Four hexadecimal digits. The text goes on behind them. */
  #checkCode(at: number): void {
    for (let next = at; next < at + 4; next++) {
      if (!isHexDigit(this.#text.charCodeAt(next))) throw this.#error("Invalid \\uXXXX escape", at - 1);
    }
    if (at + 4 >= this.#text.length) throw this.#error("Invalid \\uXXXX escape", at - 1);
  }
}

