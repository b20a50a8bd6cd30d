/**
 * What a value is: number, media, size. Used by the fast checks and by the walker, so that both agree.
 *
 * Here live no fact of the API (the catalog has those) and no message.
 */

import { MEDIA_PATTERN } from "./catalog.js";

const media = /* @__PURE__ */ new RegExp(MEDIA_PATTERN);

/** A JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isArray(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** A finite number. */
export function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** An absolute https URL with a host, or an upload token. */
export function isMedia(value: unknown): boolean {
  return typeof value === "string" && media.test(value);
}

export function areMedia(values: readonly unknown[]): boolean {
  for (const value of values) {
    if (!isMedia(value)) return false;
  }
  return true;
}

/** From 1 : ratio to ratio : 1, both included. */
export function isWithinRatio(width: number, height: number, ratio: number): boolean {
  return width <= height * ratio && height <= width * ratio;
}

/** An object of width and height within the rules, and nothing else. */
export function isSize(value: unknown, low: number, high: number, step: number, ratio: number): boolean {
  if (!isObject(value)) return false;
  for (const key in value) {
    if (key !== "width" && key !== "height" && value[key] !== undefined) return false;
  }
  const { width, height } = value;
  return isSide(width, low, high, step) && isSide(height, low, high, step) && isWithinRatio(width, height, ratio);
}

function isSide(value: unknown, low: number, high: number, step: number): value is number {
  return typeof value === "number" && value >= low && value <= high && value % step === 0;
}
