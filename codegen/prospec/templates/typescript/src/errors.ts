/**
 * Every error of this package, in one tree, by whose fault it is. Here lives no decision about when one is thrown.
 *
 * ProspoError
 *   CallerError          yours: InvalidRequest, BadSignature, NotConfigured, FileRefused, OverBudget, and
 *     Refused            whatever the API answers with 4xx: BadRequest, Unauthorized, Forbidden, NotFound,
 *                        OutputExpired, RateLimited
 *   ServiceError         theirs: GenerationFailed, Unavailable
 *   NetworkError         on the way: NotSent, NoAnswer
 *   OutcomeUnknown       a paid request that may have been accepted
 *   StillRunning         a wait that ended before the generation did
 */

import type { Generation } from "./answers.js";
import type { Problem } from "./problem.js";

/** What an answer's X-RateLimit headers say. Undefined for what they leave out, or say in no number. */
export interface RateLimit {
  readonly limit: number | undefined;
  readonly remaining: number | undefined;
  /** As it came: the documentation names no unit. */
  readonly reset: number | undefined;
}

/** The root. No key, upload token or signed URL is in its message, its stack, its members, or its JSON. */
export class ProspoError extends Error {
  /** Of an error that came after a generation was accepted: `client.job(generationId)` takes it up. */
  declare generationId?: string;

  override get name(): string {
    return "ProspoError";
  }
}

/** Yours to mend. Nothing was charged. */
export class CallerError extends ProspoError {
  override get name(): string {
    return "CallerError";
  }
}

/** A request that would be refused, with every problem that is an error. It was not sent. */
export class InvalidRequest extends CallerError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map((problem) => `${problem.path || "/"}: ${problem.message}`).join("; "));
    this.problems = problems;
  }

  override get name(): string {
    return "InvalidRequest";
  }
}

/** A key, a base URL or an option is missing, or is none. */
export class NotConfigured extends CallerError {
  override get name(): string {
    return "NotConfigured";
  }
}

/** A file that the API would not take. It was not sent. */
export class FileRefused extends CallerError {
  override get name(): string {
    return "FileRefused";
  }
}

/** The request may cost more than was allowed. It was not sent. */
export class OverBudget extends CallerError {
  override get name(): string {
    return "OverBudget";
  }
}

/** What an answer of 4xx tells. */
export interface Refusal {
  readonly status: number;
  /** The machine-readable one, where the answer has it. */
  readonly code: string | undefined;
  /** What the answer says to a person. */
  readonly detail: string | undefined;
  readonly requestId: string | undefined;
  readonly rateLimit: RateLimit;
}

/** The API said no, with a status of 4xx. Nothing was charged. */
export class Refused extends CallerError implements Refusal {
  readonly status: number;
  readonly code: string | undefined;
  readonly detail: string | undefined;
  readonly requestId: string | undefined;
  readonly rateLimit: RateLimit;

  constructor(message: string, told: Refusal) {
    super(message);
    this.status = told.status;
    this.code = told.code;
    this.detail = told.detail;
    this.requestId = told.requestId;
    this.rateLimit = told.rateLimit;
  }

  override get name(): string {
    return "Refused";
  }
}

/** 400: the API refuses the request's content. */
export class BadRequest extends Refused {
  override get name(): string {
    return "BadRequest";
  }
}

/** 401: no valid key. */
export class Unauthorized extends Refused {
  override get name(): string {
    return "Unauthorized";
  }
}

/** 403: the balance is too low, or the account is suspended. */
export class Forbidden extends Refused {
  override get name(): string {
    return "Forbidden";
  }
}

/** 404: no such generation, or no such upload. */
export class NotFound extends Refused {
  override get name(): string {
    return "NotFound";
  }
}

/** 410: the output is no longer kept. */
export class OutputExpired extends Refused {
  override get name(): string {
    return "OutputExpired";
  }
}

/** 429: too many requests, for longer than the client waits by itself. */
export class RateLimited extends Refused {
  override get name(): string {
    return "RateLimited";
  }
}

/** Theirs to mend. Nothing was charged, or it was refunded. */
export class ServiceError extends ProspoError {
  override get name(): string {
    return "ServiceError";
  }
}

/** The generation ended as failed. The documentation says that its cost is refunded. */
export class GenerationFailed extends ServiceError {
  readonly generation: Generation;

  constructor(message: string, generation: Generation) {
    super(message);
    this.generation = generation;
  }

  override get name(): string {
    return "GenerationFailed";
  }
}

/** A free request was answered with 5xx, or with something that cannot be read, several times over. */
export class Unavailable extends ServiceError {
  readonly status: number;
  readonly requestId: string | undefined;

  constructor(message: string, told: Pick<Refusal, "status" | "requestId">) {
    super(message);
    this.status = told.status;
    this.requestId = told.requestId;
  }

  override get name(): string {
    return "Unavailable";
  }
}

/** The way to the API failed. Nothing was charged. */
export class NetworkError extends ProspoError {
  override get name(): string {
    return "NetworkError";
  }
}

/** No connection was made, so that no byte of the request arrived: no such name, refused, no TLS. */
export class NotSent extends NetworkError {
  override get name(): string {
    return "NotSent";
  }
}

/** A free request got no whole answer, several times over. */
export class NoAnswer extends NetworkError {
  override get name(): string {
    return "NoAnswer";
  }
}

/** What is known of a paid request of which nobody knows what became. */
export interface Unknown {
  readonly reason: string;
  /** When it was sent. */
  readonly at: Date;
  /** Of the body, as it was sent; undefined where the page is not secure, so that the browser has no WebCrypto. */
  readonly requestSha256: string | undefined;
  /** USD, the most that it costs if it was accepted; undefined where no price is published. */
  readonly largestCostUsd: number | undefined;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
}

/**
 * A paid request may have been accepted, and its answer does not tell. It is never sent again by itself.
 *
 * After an abort its `cause` is the reason of the signal.
 */
export class OutcomeUnknown extends ProspoError implements Unknown {
  readonly reason: string;
  readonly at: Date;
  readonly requestSha256: string | undefined;
  readonly largestCostUsd: number | undefined;
  readonly status: number | undefined;
  readonly requestId: string | undefined;

  constructor(message: string, known: Unknown, options?: ErrorOptions) {
    super(message, options);
    this.reason = known.reason;
    this.at = known.at;
    this.requestSha256 = known.requestSha256;
    this.largestCostUsd = known.largestCostUsd;
    this.status = known.status;
    this.requestId = known.requestId;
  }

  override get name(): string {
    return "OutcomeUnknown";
  }
}

/**
 * The time to wait is over and the generation is not. It goes on, and can be taken up by its id.
 *
 * After an abort its `cause` is the reason of the signal.
 */
export class StillRunning extends ProspoError {
  /** As it was last seen; undefined where no look has succeeded. */
  readonly generation: Generation | undefined;

  constructor(message: string, generation: Generation | undefined, options?: ErrorOptions) {
    super(message, options);
    this.generation = generation;
  }

  override get name(): string {
    return "StillRunning";
  }
}
