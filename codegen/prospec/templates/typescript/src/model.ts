/** The types of the catalog. Here lives no model: those are in models/, which is generated. */

/** How well a fact is known. Only a documented one may make a request invalid; the others warn. */
export type Evidence = "documented" | "inferred" | "assumed";

/** One row of a mode's table. A field that does not apply is absent. */
export interface Param {
  readonly name: string;
  readonly type: "string" | "number" | "boolean" | "array" | "string|object";
  /** As the provider writes it; a row that also has a default may be left out all the same. */
  readonly required: boolean;
  readonly evidence: Evidence;
  readonly source: string;
  readonly default?: string | number | boolean;
  readonly enum?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  /** Of width and height, whose range is then `min` to `max`. */
  readonly multipleOf?: number;
  readonly maxRatio?: number;
  readonly unit?: string;
  readonly media?: "image" | "video" | "audio" | "mask";
  /** JSON Schema keywords that are only inferred, whatever the row's evidence is. */
  readonly inferred?: readonly string[];
  readonly note?: string;
}

/** One input shape of a model. */
export interface Mode {
  readonly id: string;
  readonly title: string;
  readonly evidence: Evidence;
  /** False where the provider declares no mode: a request leaves `mode` out. */
  readonly onWire: boolean;
  readonly params: readonly Param[];
  /** The upstream endpoint that this mode most likely calls. */
  readonly upstream?: string;
  /** A request of this mode, as JSON. */
  readonly example: string;
}

/** USD a unit, where every (param, value) of `when` holds. `high` is above `low` where a range is published. */
export interface Rate {
  readonly when: readonly (readonly [param: string, value: string | boolean])[];
  /** A decimal number, as text. */
  readonly low: string;
  readonly high: string;
  readonly evidence: Evidence;
}

/** What a model costs. */
export interface Price {
  readonly unit: "second" | "image";
  /** The param that counts the units; absent where only the provider knows. */
  readonly quantity?: string;
  /** How well it is known that several units cost several times one. */
  readonly quantityEvidence: Evidence;
  readonly evidence: Evidence;
  readonly source: string;
  readonly rates: readonly Rate[];
  /** Params whose effect on the price is inferred: documented is the range over their values. */
  readonly inferred: readonly string[];
  readonly longestBy?: string;
  /** Where no param counts the units: the most there can be, by the value of the param `longestBy`. */
  readonly longest: readonly (readonly [value: string, units: number])[];
  readonly gaps: readonly string[];
  readonly note?: string;
}

/** One model. Its first mode is the one that a request without `mode` gets. */
export interface Model {
  readonly id: string;
  readonly name: string;
  readonly family: string;
  readonly kind: "video" | "image";
  readonly modes: readonly [Mode, ...Mode[]];
  readonly price?: Price;
}

/** Width and height, in pixels. */
export interface Size {
  width: number;
  height: number;
}

/** A request without the row is refused. */
export function isMandatory(param: Param): boolean {
  return param.required && param.default === undefined;
}

/** How well one constraint of a row is known. */
export function evidenceOf(param: Param, keyword: string): Evidence {
  return param.evidence === "documented" && param.inferred?.includes(keyword) ? "inferred" : param.evidence;
}

/** The mode of that id; the first one for undefined. */
export function modeOf(model: Model, id: string | undefined): Mode | undefined {
  return id === undefined ? model.modes[0] : model.modes.find((mode) => mode.id === id);
}
