/** A generation that is under way, as its caller holds on to it. Here lives no decision: `operations` has those. */

import type { Generation } from "./answers.js";
import { Deadline } from "./exchange.js";
import { type Operations, succeeded, type Ticket, WAIT_MS } from "./operations.js";

/** For how long something is waited for. */
export interface Waiting {
  /** For the whole of it. Default: 1,800,000, half an hour. Infinity waits for ever. */
  readonly timeoutMs?: number | undefined;
  /** Ends it before. */
  readonly signal?: AbortSignal | undefined;
}

/** A generation that was submitted. */
export class Job {
  readonly id: string;
  readonly #operations: Operations;
  readonly #ticket: Ticket;

  constructor(operations: Operations, ticket: Ticket) {
    this.id = ticket.generationId;
    this.#operations = operations;
    this.#ticket = ticket;
  }

  /** As JSON, for `client.job` of another process, after a crash too, in Python as well. It holds no secret. */
  checkpoint(): string {
    return JSON.stringify({
      generation_id: this.id,
      model: this.#ticket.model ?? null,
      mode: this.#ticket.mode ?? null,
      largest_cost_usd: String(this.#ticket.hold.largestUsd),
    });
  }

  /** How it stands now. */
  status(options: Pick<Waiting, "signal"> = {}): Promise<Generation> {
    return this.#operations.look(this.#ticket, new Deadline(Infinity, options.signal));
  }

  /** Every new status, the last of which is done, well or not: `for await (const { status } of job.updates())`. */
  updates(options: Waiting = {}): AsyncGenerator<Generation, void, void> {
    return this.#operations.follow(this.#ticket, new Deadline(options.timeoutMs ?? WAIT_MS, options.signal));
  }

  /**
   * Wait until it is done, well or not. `onUpdate` is told of every new status.
   *
   * Throws StillRunning when the time is over, and the reason of the signal when that ends it.
   */
  async wait(options: Waiting & { readonly onUpdate?: (generation: Generation) => void } = {}): Promise<Generation> {
    let last: Generation | undefined;
    for await (last of this.updates(options)) options.onUpdate?.(last);
    return last as Generation; // that is done: what is not ends by an error
  }

  /** Wait until it is completed. Throws GenerationFailed, and what `wait` does. */
  async result(options: Waiting = {}): Promise<Generation> {
    return succeeded(await this.wait(options));
  }
}
