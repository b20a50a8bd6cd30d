/** The types of requests: what a model and mode take, and nothing else. Here lives no code. */

import type { FirstMode, ParamsOf, WireMode } from "./models/index.js";

export type ModelId = keyof ParamsOf;

/** The modes of a model. */
export type ModeOf<M extends ModelId> = keyof ParamsOf[M] & string;

/** A request of one model and mode. A function that is generic over both finds them from its argument. */
export type GenerateRequest<M extends ModelId, D extends ModeOf<M> = FirstMode[M] & ModeOf<M>> = {
  readonly model: M;
  readonly params: [D] extends [never] ? unknown : ParamsOf[M][D]; // of an unknown model, that alone is told
  readonly webhook_url?: string;
  readonly async?: boolean;
} & ([D] extends [FirstMode[M]] ? { readonly mode?: D & WireMode[M] } : { readonly mode: D });

/** A request of any model and mode. Of a literal without `mode`, it takes what the model's first mode takes. */
export type AnyRequest = {
  [M in ModelId]: { [D in ModeOf<M>]: GenerateRequest<M, D> & { readonly params: Without<M, D> } }[ModeOf<M>];
}[ModelId];

/** What other modes of a model take, as members that must not be there: a union alone would let them pass. */
type Without<M extends ModelId, D extends ModeOf<M>> = {
  readonly [K in Exclude<ParamOf<M>, keyof ParamsOf[M][D]>]?: never;
};

type ParamOf<M extends ModelId> = { [D in ModeOf<M>]: keyof ParamsOf[M][D] }[ModeOf<M>];
