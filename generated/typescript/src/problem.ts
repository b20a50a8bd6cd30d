/** What the validators say. Here lives only the shape of it. */

import type { Evidence } from "./model.js";

export type Severity = "error" | "warning";

/** One mistake in a request. */
export interface Problem {
  /** JSON Pointer into the request. A member that is missing bears its own pointer. */
  readonly path: string;
  /** The JSON Schema keyword that is broken, or `model`, `mode`, `media`, `size`, `json`. */
  readonly code: string;
  /** An error where a documented fact is broken, else a warning. */
  readonly severity: Severity;
  readonly evidence: Evidence;
  readonly message: string;
  /** What was likely meant, where something was. */
  readonly hint: string | null;
}

/** Bytes that are no request: not JSON, or beyond the limits of the validation profile. */
export class NotJSON extends Error {
  override get name(): string {
    return "NotJSON";
  }
}
