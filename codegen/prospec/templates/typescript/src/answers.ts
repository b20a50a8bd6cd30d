/**
 * What the API answers, as frozen values that tolerate what they do not know. Here lives no HTTP and no decision.
 *
 * A field of an unexpected type counts as absent, and `raw` has it; an unknown status is kept as it came.
 */

import { withHidden } from "./secrecy.js";
import { isNumber, isObject } from "./values.js";

/** The documented ones; any other text may come. */
export type Status = "queued" | "processing" | "completed" | "failed" | (string & {});

const LONGEST_ID = 500;

/** An object of JSON. */
export type Json = Readonly<Record<string, unknown>>;

/** One generation, as it stood when the answer was made. */
export class Generation {
  readonly generationId: string;
  readonly status: Status;
  readonly model: string | undefined;
  readonly mode: string | undefined;
  /** What was taken from the balance, once it is known. */
  readonly costUsd: number | undefined;
  /** How long the generation took. */
  readonly durationMs: number | undefined;
  /**
   * Where the image or video is, for 7 days. Its bearer needs no key: it is a secret, which shows neither in
   * console.log nor in JSON.stringify.
   */
  declare readonly outputUrl: string | undefined;
  /** The answer as it came. It shows as little. */
  declare readonly raw: Json;

  constructor(generationId: string, status: Status, raw: Json = {}) {
    this.generationId = generationId;
    this.status = status;
    this.model = text(raw["model"]);
    this.mode = text(raw["mode"]);
    this.costUsd = usd(raw["cost_usd"]);
    this.durationMs = number(raw["duration_ms"]);
    withHidden(this, { outputUrl: text(raw["output_url"]) || undefined, raw });
  }

  /** Whether nothing more is to come. A status that nobody knows counts once there is an output. */
  get isDone(): boolean {
    if (this.status === "completed" || this.status === "failed") return true;
    return this.status !== "queued" && this.status !== "processing" && this.outputUrl !== undefined;
  }
}

/** What the account has left. */
export interface Balance {
  readonly balanceUsd: number;
  readonly currency: string | undefined;
  /** The answer as it came. */
  readonly raw: Json;
}

/** Undefined for an answer without the two that every use needs, its id and its status. */
export function generationOf(value: unknown): Generation | undefined {
  if (!isObject(value)) return undefined;
  const { generation_id: id, status } = value;
  return isId(id) && text(status) ? new Generation(id, String(status), value) : undefined;
}

/** Whether a value can be the id of a generation: it stands in paths, messages and checkpoints. */
export function isId(value: unknown): value is string {
  return typeof value === "string" && value.length <= LONGEST_ID && /^(?: |[^\p{C}\p{Z}])+$/u.test(value);
}

/** Undefined for an answer without an amount. */
export function balanceOf(value: unknown): Balance | undefined {
  if (!isObject(value)) return undefined;
  const balanceUsd = number(value["balance_usd"]);
  return balanceUsd === undefined ? undefined : { balanceUsd, currency: text(value["currency"]), raw: value };
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function number(value: unknown): number | undefined {
  return isNumber(value) ? value : undefined;
}

/** A cost; what would make a budget grow is none. */
export function usd(value: unknown): number | undefined {
  const found = number(value);
  return found === undefined || found < 0 ? undefined : found;
}
