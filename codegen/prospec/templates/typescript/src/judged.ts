/**
 * What is judged, seen alike whether it is a value of JavaScript or was read from a JSON text.
 *
 * A text tells more than JavaScript keeps: the order of members whose names are numbers, a member called __proto__,
 * whether a number was written 5 or 5.0, and the digits of large integers. Here live no rule and no message.
 */

import { floatText } from "./text.js";

/** A JSON object as it was read. */
export class Members {
  readonly byName: ReadonlyMap<string, unknown>;

  constructor(byName: ReadonlyMap<string, unknown>) {
    this.byName = byName;
  }
}

/** A number as it was read, where JavaScript would tell it otherwise. */
export class Numeral {
  readonly value: number;
  /** Of an integer, its digits. */
  readonly integer: string | undefined;

  constructor(value: number, integer?: string) {
    this.value = value;
    this.integer = integer;
  }

  get isInteger(): boolean {
    return this.integer !== undefined;
  }

  get text(): string {
    return this.integer ?? floatText(this.value);
  }
}

/** The members of a JSON object in their order; undefined for any other value. A member that is undefined is none. */
export function membersOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (value instanceof Members) return value.byName;
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Numeral) return undefined;
  const members = new Map<string, unknown>();
  // Of 80,000 members, twice as fast as by Object.entries.
  for (const name of Object.keys(value)) {
    const item = (value as Readonly<Record<string, unknown>>)[name];
    if (item !== undefined) members.set(name, item);
  }
  return members;
}

/** A number, finite or not; undefined for any other value. */
export function numeralOf(value: unknown): Numeral | undefined {
  if (value instanceof Numeral) return value;
  if (typeof value !== "number") return undefined;
  return new Numeral(value, Number.isSafeInteger(value) ? String(value) : undefined);
}

/** A finite number; undefined for any other value. */
export function numberOf(value: unknown): number | undefined {
  const number = value instanceof Numeral ? value.value : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}
