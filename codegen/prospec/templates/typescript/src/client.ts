/** The client. Here lives what a caller passes and gets; requests, answers, money and errors are `operations`. */

import type { Balance, Generation } from "./answers.js";
import { amount, Budget } from "./budget.js";
import type { Checks } from "./drafting.js";
import { NotConfigured } from "./errors.js";
import { Deadline } from "./exchange.js";
import type { FileSource } from "./files.js";
import { Job, type Waiting } from "./job.js";
import type { FirstMode } from "./models/index.js";
import { Operations, POLL_MS, WAIT_MS } from "./operations.js";
import type { Problem } from "./problem.js";
import type { GenerateRequest, ModelId, ModeOf } from "./request.js";
import { type Fetch, Transport } from "./transport.js";

/** What a client is made of. All of it may be left out. */
export interface ClientOptions extends Checks {
  /** Default: PROSPOLABS_API_KEY of the environment. A page that holds a key shows it to all who visit it. */
  readonly apiKey?: string | undefined;
  /** Default: PROSPOLABS_BASE_URL of the environment, or else the documented one. */
  readonly baseUrl?: string | undefined;
  /** Default: the platform's own. One that sends a request again by itself breaks what is said of money. */
  readonly fetch?: Fetch | undefined;
  /** For each request as a whole: sending, waiting, polling. Default: 1,800,000, half an hour. */
  readonly timeoutMs?: number | undefined;
  /** USD, what all requests together may cost. */
  readonly budgetUsd?: number | undefined;
  /** The first pause between two looks at a generation. Default: 1000. */
  readonly pollMs?: number | undefined;
  /**
   * Told of what goes against a fact that is only inferred or assumed, so that the request may be refused; of each such
   * thing once. Default: console.warn.
   */
  readonly onWarning?: ((problem: Problem) => void) | undefined;
}

/** What holds for one request. */
export interface RequestOptions extends Checks, Waiting {}

export interface UploadOptions extends Waiting {
  /** Default: what the content says. */
  readonly contentType?: string | undefined;
  /** Default: that of a File. */
  readonly fileName?: string | undefined;
}

/**
 * The API.
 *
 * An abort throws the reason of its signal, unless a paid request may have arrived: then it is OutcomeUnknown, or
 * StillRunning once it was accepted, with that reason as the `cause`.
 */
export class Client {
  /** What was spent, and what is set aside. */
  readonly budget: Budget;
  readonly #operations: Operations;
  readonly #checks: Checks;
  readonly #timeoutMs: number;

  /** Throws NotConfigured without a key, and for an option that is none. */
  constructor(options: ClientOptions = {}) {
    const transport = new Transport(options.apiKey, options.baseUrl, options.fetch);
    this.budget = new Budget(options.budgetUsd);
    this.#checks = checked(options);
    this.#timeoutMs = positive(options.timeoutMs ?? WAIT_MS, "timeoutMs");
    this.#operations = new Operations(
      (call, signal) => transport.send(call, signal),
      this.budget,
      positive(options.pollMs ?? POLL_MS, "pollMs"),
      once(options.onWarning ?? warn),
    );
  }

  /**
   * Run a model and wait for the result. Without `mode` it is the model's first.
   *
   * Without `async` it is a blocking request where the documentation recommends it, and else one that is polled.
   * Throws InvalidRequest, OverBudget, NotSent, Refused, OutcomeUnknown, GenerationFailed, StillRunning.
   */
  generate<M extends ModelId, D extends ModeOf<M> = FirstMode[M] & ModeOf<M>>(
    request: GenerateRequest<M, D>,
    options: RequestOptions = {},
  ): Promise<Generation> {
    return this.#operations.generate(request, this.#changed(options), this.#deadline(options));
  }

  /** Start a model and wait for nothing. Throws what `generate` does, but for the last two. */
  async submit<M extends ModelId, D extends ModeOf<M> = FirstMode[M] & ModeOf<M>>(
    request: GenerateRequest<M, D>,
    options: RequestOptions = {},
  ): Promise<Job> {
    const ticket = await this.#operations.submit(request, this.#changed(options), this.#deadline(options));
    return new Job(this.#operations, ticket);
  }

  /** A generation that was submitted before, by its id or its checkpoint. Throws TypeError for neither. */
  job(text: string): Job {
    return new Job(this.#operations, this.#operations.resumed(text));
  }

  /**
   * Send a file; its token stands in any media param for 24 hours, for this key alone.
   *
   * Throws FileRefused before a byte is sent, for a type or size that is not taken.
   */
  upload(source: FileSource, options: UploadOptions = {}): Promise<string> {
    return this.#operations.upload(source, options.fileName, options.contentType, this.#deadline(options));
  }

  /** What is left to spend. */
  balance(options: Waiting = {}): Promise<Balance> {
    return this.#operations.balance(this.#deadline(options));
  }

  /**
   * The output of a generation: `.blob()` has the whole of it, `.body` streams it. What is cut off is NoAnswer.
   *
   * Throws OutputExpired 7 days after the generation, TypeError where there is no output.
   */
  async download(output: Generation | string, options: Waiting = {}): Promise<Response> {
    const url = typeof output === "string" ? output : output.outputUrl;
    if (url === undefined) throw new TypeError("this generation has no output");
    return this.#operations.download(url, this.#deadline(options));
  }

  #changed(options: RequestOptions): Checks {
    const { maxCostUsd = this.#checks.maxCostUsd, validate = this.#checks.validate } = checked(options);
    return { maxCostUsd, validate };
  }

  #deadline(options: Waiting): Deadline {
    return new Deadline(positive(options.timeoutMs ?? this.#timeoutMs, "timeoutMs"), options.signal);
  }
}

/** The checks. Throws NotConfigured for a limit that is no amount. */
function checked(options: Checks): Checks {
  if (options.maxCostUsd !== undefined) amount(options.maxCostUsd);
  return options;
}

function positive(value: number, name: string): number {
  if (typeof value === "number" && value >= 0) return value;
  throw new NotConfigured(`${name} is a number of milliseconds from 0 up`);
}

/** Passes each problem on once. */
function once(tell: (problem: Problem) => void): (problem: Problem) => void {
  const told = new Set<string>();
  return (problem) => {
    const key = `${problem.path} ${problem.message}`;
    if (told.has(key)) return;
    told.add(key);
    tell(problem);
  };
}

function warn(problem: Problem): void {
  console.warn(`prospo: ${problem.path}: ${problem.message}${problem.hint ? ` (${problem.hint})` : ""}`);
}
