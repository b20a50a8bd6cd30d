/**
 * One request and its answer: when it is sent again, and what an answer means.
 *
 * Here live no fetch, which is `transport`'s, and no endpoint.
 */

import { text } from "./answers.js";
import {
  BadRequest,
  Forbidden,
  NoAnswer,
  NotFound,
  NotSent,
  OutputExpired,
  type RateLimit,
  RateLimited,
  Refused,
  Unauthorized,
  Unavailable,
} from "./errors.js";
import { redacted } from "./secrecy.js";
import { isObject } from "./values.js";

/** How often a request is sent at most, where it may be sent again at all. */
const ATTEMPTS = 4;
/** Who is told to wait for longer is told so by an error instead. */
const LONGEST_PAUSE_MS = 60_000;
const FIRST_PAUSE_MS = 500;
const BACKOFF_MAX_MS = 8_000;
/** What is left to a free call at its deadline: too little for an answer, and no error of its own. */
const LEAST_MS = 1;
/** A reset beyond it is a time (beyond 1000 times it, in milliseconds): the documentation names no unit. */
const EPOCH_S = 1_000_000_000;
/** Status -> its class; any other 4xx is a Refused. */
const REFUSALS: Readonly<Record<number, typeof Refused>> = {
  400: BadRequest,
  401: Unauthorized,
  403: Forbidden,
  404: NotFound,
  410: OutputExpired,
  429: RateLimited,
};

/** One request that is to be sent. */
export interface Call {
  /** Method and path as a message tells them, without what is secret. */
  readonly name: string;
  readonly method: "GET" | "POST" | "PUT";
  /** A path below the base URL, or an absolute URL. */
  readonly url: string;
  readonly body?: string | Blob;
  readonly contentType?: string;
  /** Whether an accepted one costs money: then it is sent again only if it cannot have been accepted. */
  readonly isPaid?: boolean;
  /** Whether it fetches an output: without a key, wherever it is moved to, and with the body left to be read. */
  readonly isOutput?: boolean;
  /** For the whole of it. */
  readonly timeoutMs: number;
}

/** An answer. */
export interface Reply {
  /** 0 for a redirect, where a browser shows no more of it. */
  readonly status: number;
  readonly headers: Headers;
  /** The whole of it; undefined where it is no UTF-8, or is left to be read. */
  readonly text: string | undefined;
  /** Of an output, to be read. */
  readonly response?: Response;
}

/** No whole answer. */
export interface Failure {
  readonly reason: string;
  /** False only where it is proven that no byte was sent. */
  readonly mayHaveArrived: boolean;
  /** Whether the caller ended it. */
  readonly isAborted: boolean;
}

export type Send = (call: Call, signal: AbortSignal | undefined) => Promise<Reply | Failure>;

/** A point of the monotonic clock, and the caller's signal, which may come before. */
export class Deadline {
  readonly #atMs: number;
  readonly signal: AbortSignal | undefined;

  constructor(inMs: number, signal?: AbortSignal) {
    this.#atMs = performance.now() + inMs;
    this.signal = signal;
  }

  /** The milliseconds that are left, `mostMs` at most, never below 0. */
  leftMs(mostMs: number): number {
    return Math.max(0, Math.min(mostMs, this.#atMs - performance.now()));
  }

  /** Whether so long a pause ends before it. */
  allows(ms: number): boolean {
    return performance.now() + ms < this.#atMs;
  }
}

/** Send a call, as often as it makes sense and is safe. What comes back may still be an answer of any status. */
export async function exchange(send: Send, call: Call, deadline: Deadline): Promise<Reply | Failure> {
  for (let attempt = 1; ; attempt++) {
    if (deadline.signal?.aborted) return { reason: "it was aborted", mayHaveArrived: false, isAborted: true };
    const leftMs = deadline.leftMs(call.timeoutMs);
    if (call.isPaid && leftMs === 0) {
      return { reason: "the time was over before", mayHaveArrived: false, isAborted: false };
    }
    const answer = await send({ ...call, timeoutMs: Math.max(leftMs, LEAST_MS) }, deadline.signal);
    const ms = pauseMs(call, answer, attempt);
    if (ms === undefined || attempt === ATTEMPTS || !deadline.allows(ms)) return answer;
    await pause(ms, deadline.signal);
  }
}

/** Let some time pass, less where the caller ends it. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}

export function isFailure(answer: Reply | Failure): answer is Failure {
  return "reason" in answer;
}

export function isOk(status: number): boolean {
  return status >= 200 && status < 300;
}

/** A number between two, by chance. */
export function between(low: number, high: number): number {
  return low + Math.random() * (high - low);
}

/** After how long the call is sent again; undefined for not at all. */
function pauseMs(call: Call, answer: Reply | Failure, attempt: number): number | undefined {
  const backoffMs = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), BACKOFF_MAX_MS) * between(0.5, 1);
  if (isFailure(answer)) return answer.isAborted || (call.isPaid && answer.mayHaveArrived) ? undefined : backoffMs;
  if (answer.status === 429) {
    const toldMs = toldToWaitMs(answer.headers);
    if (toldMs === undefined) return backoffMs;
    return toldMs <= LONGEST_PAUSE_MS ? toldMs + between(0, 100) : undefined;
  }
  return answer.status >= 500 && !call.isPaid ? backoffMs : undefined;
}

/** The time that an answer of 429 asks to wait: Retry-After, or else the reset of the rate limit. */
function toldToWaitMs(headers: Headers): number | undefined {
  for (const name of ["retry-after", "x-ratelimit-reset"]) {
    const said = headers.get(name) ?? "";
    const seconds = numberOf(said);
    let ms: number | undefined;
    if (seconds === undefined) {
      // Only a date as HTTP writes it: Date.parse takes "-5" for a day of 2001.
      ms = /^[A-Z][a-z]{2}, .*GMT$/.test(said) ? Date.parse(said) - Date.now() : undefined;
    } else if (seconds > EPOCH_S) {
      ms = (seconds > 1000 * EPOCH_S ? seconds : 1000 * seconds) - Date.now();
    } else {
      ms = 1000 * seconds;
    }
    if (ms !== undefined && !Number.isNaN(ms)) return Math.max(0, ms);
  }
  return undefined;
}

function numberOf(said: string | null): number | undefined {
  return said !== null && said.length < 20 && /^\s*\d+(\.\d*)?\s*$/.test(said) ? Number(said) : undefined;
}

function rateLimit(headers: Headers): RateLimit {
  const [limit, remaining, reset] = ["limit", "remaining", "reset"].map((name) =>
    numberOf(headers.get(`x-ratelimit-${name}`)),
  );
  return { limit, remaining, reset };
}

/** The id that the service gave a request, where it gives one. */
export function requestId(headers: Headers): string | undefined {
  const found = headers.get("x-request-id") ?? headers.get("request-id");
  return found ? redacted(found) : undefined;
}

/** The value of a body; undefined for what is no JSON. */
export function jsonOf(reply: Reply): unknown {
  try {
    return JSON.parse(reply.text ?? "") as unknown;
  } catch {
    return undefined;
  }
}

/** The error that an answer of 4xx is. */
export function refused(call: Call, reply: Reply): Refused {
  const [code, detail] = told(reply);
  const said = detail ?? code ?? "no reason is given";
  return new (REFUSALS[reply.status] ?? Refused)(`${call.name} was refused with ${reply.status}: ${said}`, {
    status: reply.status,
    code,
    detail,
    requestId: requestId(reply.headers),
    rateLimit: rateLimit(reply.headers),
  });
}

/** Code and message of an error's body, whichever of its documented forms it has. */
function told(reply: Reply): [code: string | undefined, detail: string | undefined] {
  const body = jsonOf(reply);
  if (!isObject(body)) return [undefined, undefined];
  const code = text(body["code"]);
  const said = body["message"] || body["detail"];
  const detail = typeof said === "string" || said === undefined ? said : JSON.stringify(said);
  return [code && redacted(code), detail && redacted(detail)];
}

/** A call that costs nothing, until it is answered with 2xx. Throws Refused, Unavailable, NotSent, NoAnswer. */
export async function free(send: Send, call: Call, deadline: Deadline): Promise<Reply> {
  const answer = await exchange(send, call, deadline);
  if (isFailure(answer)) {
    if (answer.isAborted) throw deadline.signal?.reason;
    throw answer.mayHaveArrived ? new NoAnswer(`${call.name}: ${answer.reason}`) : notSent(call, answer);
  }
  if (isOk(answer.status)) return answer;
  if (answer.status >= 400 && answer.status < 500) throw refused(call, answer);
  throw unavailable(call, answer, `the answer is ${nameOf(answer)}`);
}

/** An answer as a message names it. */
export function nameOf(reply: Reply): string {
  return reply.status === 0 ? "a redirect" : String(reply.status);
}

export function notSent(call: Call, failure: Failure): NotSent {
  return new NotSent(`${call.name} was not sent: ${failure.reason}. Check the base URL and the network`);
}

export function unavailable(call: Call, reply: Reply, why: string): Unavailable {
  const said = told(reply)[1];
  return new Unavailable(`${call.name}: ${why}${said ? `, saying ${JSON.stringify(said)}` : ""}`, {
    status: reply.status,
    requestId: requestId(reply.headers),
  });
}
