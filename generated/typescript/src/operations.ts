/**
 * The operations of the API: what is sent, what the answer means, what it cost. Here live no fetch and no types of
 * requests: those are `transport`'s and `models`'.
 */

import { type Balance, balanceOf, type Generation, generationOf, isId } from "./answers.js";
import type { Budget, Hold } from "./budget.js";
import { sha256 } from "./digest.js";
import { type Checks, type Draft, draft } from "./drafting.js";
import {
  GenerationFailed,
  NetworkError,
  OutcomeUnknown,
  ProspoError,
  RateLimited,
  ServiceError,
  StillRunning,
  Unavailable,
} from "./errors.js";
import {
  between,
  type Call,
  Deadline,
  exchange,
  free,
  isFailure,
  isOk,
  jsonOf,
  nameOf,
  notSent,
  pause,
  refused,
  type Reply,
  requestId,
  type Send,
  unavailable,
} from "./exchange.js";
import { type FileBody, type FileSource, opened } from "./files.js";
import type { Problem } from "./problem.js";
import { redacted } from "./secrecy.js";
import { BASE_URL, SYNC_TIMEOUT_MS } from "./service.js";
import { isMedia, isObject } from "./values.js";

/** For how long a generation is waited for, unless the caller says otherwise. Nothing documents how long one takes. */
export const WAIT_MS = 1_800_000;
/** The pause after the first look at a generation; each is longer than the one before. */
export const POLL_MS = 1_000;
const POLL_GROWTH = 1.5;
const POLL_MAX_MS = 10_000;
const SUBMIT_MS = 60_000;
const CALL_MS = 30_000;
const LAST_LOOK_MS = 1_000;
const FILE_MS = 600_000;
/** A blocking call is let run a little beyond the documented limit, so that the service is the one to end it. */
const MARGIN_MS = 10_000;

/** A generation that was accepted: what is needed to take it up again, here or in another process. */
export interface Ticket {
  readonly generationId: string;
  readonly model: string | undefined;
  readonly mode: string | undefined;
  readonly hold: Hold;
}

/** The operations, around one budget. */
export class Operations {
  readonly #send: Send;
  readonly #budget: Budget;
  readonly #pollMs: number;
  readonly #warn: (problem: Problem) => void;
  /** Upload tokens that have not the documented form. */
  readonly #issued = new Set<string>();
  /** By their ids, those that are done included: a generation that is taken up twice is paid for once. */
  readonly #tickets = new Map<string, Ticket>();

  constructor(send: Send, budget: Budget, pollMs: number, warn: (problem: Problem) => void) {
    this.#send = send;
    this.#budget = budget;
    this.#pollMs = pollMs;
    this.#warn = warn;
  }

  /** From a request to its completed generation. Throws GenerationFailed, StillRunning, and what `submit` does. */
  async generate(request: unknown, checks: Checks, deadline: Deadline): Promise<Generation> {
    const [generation, ticket] = await this.#charge(this.#draft(request, checks, undefined), deadline);
    try {
      return succeeded(generation.isDone ? generation : await this.#end(ticket, generation, deadline));
    } catch (error) {
      if (error instanceof ProspoError) error.generationId = ticket.generationId;
      throw error;
    }
  }

  /** Start a generation and wait for nothing. Throws NotSent, Refused, OutcomeUnknown, and what `draft` does. */
  async submit(request: unknown, checks: Checks, deadline: Deadline): Promise<Ticket> {
    const [, ticket] = await this.#charge(this.#draft(request, checks, true), deadline);
    return ticket;
  }

  /** The ticket of a generation's id or of a checkpoint. Throws TypeError for neither. */
  resumed(text: string): Ticket {
    const kept = text.trimStart().startsWith("{") ? parsed(text) : { generation_id: text };
    const id = kept["generation_id"];
    const largestUsd = Number(kept["largest_cost_usd"] ?? 0);
    if (!isId(id) || !(largestUsd >= 0 && largestUsd < Infinity)) {
      throw new TypeError("this is neither the id of a generation nor the checkpoint of a job");
    }
    const known = this.#tickets.get(id);
    if (known) return known;
    const [model, mode] = [kept["model"], kept["mode"]].map((each) => (typeof each === "string" ? each : undefined));
    return this.#ticket(id, model, mode, this.#budget.resume(largestUsd));
  }

  /** The generation as it stands. What it cost is settled once it is done. */
  async look(ticket: Ticket, deadline: Deadline): Promise<Generation> {
    const url = `/v1/generations/${encodeURIComponent(ticket.generationId)}`;
    const call: Call = { name: "GET /v1/generations/{id}", method: "GET", url, timeoutMs: CALL_MS };
    // The last look has a little time, too.
    const limit = new Deadline(Math.max(deadline.leftMs(CALL_MS), LAST_LOOK_MS), deadline.signal);
    const reply = await free(this.#send, call, limit);
    const generation = generationOf(jsonOf(reply));
    if (!generation) throw unavailable(call, reply, "the answer is no generation");
    this.#settle(generation, ticket.hold);
    return generation;
  }

  /**
   * Look until it is done, and yield every status that differs from the one before, and the last.
   *
   * Throws StillRunning at the deadline, and the reason of an abort. What fails on the way in between is tried again.
   */
  async *follow(ticket: Ticket, deadline: Deadline, before?: Generation): AsyncGenerator<Generation, void, void> {
    let last = before;
    for (let pauseMs = this.#pollMs; ; pauseMs = Math.min(POLL_GROWTH * pauseMs, Math.max(POLL_MAX_MS, this.#pollMs))) {
      let seen: Generation | undefined;
      let fault = "";
      try {
        seen = await this.look(ticket, deadline);
      } catch (error) {
        if (!isPassing(error)) throw error;
        fault = ` (the last look failed: ${error.message})`;
      }
      if (seen) {
        const isNew = seen.status !== last?.status;
        last = seen;
        if (isNew || seen.isDone) yield seen;
        if (seen.isDone) return;
      }
      deadline.signal?.throwIfAborted();
      const leftMs = deadline.leftMs(pauseMs * between(0.8, 1));
      if (leftMs === 0) {
        const status = redacted(last?.status ?? "unknown");
        throw stillRunning(ticket, last, `is ${status} at the end of the time to wait${fault}`);
      }
      await pause(leftMs, deadline.signal);
    }
  }

  /** What is left to spend. */
  async balance(deadline: Deadline): Promise<Balance> {
    const call: Call = { name: "GET /v1/balance", method: "GET", url: "/v1/balance", timeoutMs: CALL_MS };
    const reply = await free(this.#send, call, deadline);
    const balance = balanceOf(jsonOf(reply));
    if (!balance) throw unavailable(call, reply, "the answer is no balance");
    return balance;
  }

  /** A file, announced and sent, as a token. Throws FileRefused before anything is sent. */
  async upload(
    source: FileSource,
    name: string | undefined,
    contentType: string | undefined,
    deadline: Deadline,
  ): Promise<string> {
    const file = await opened(source, name, contentType);
    const { token, url, type } = await this.#announced(file, deadline);
    const put: Call = {
      name: "PUT upload",
      method: "PUT",
      url,
      body: file.content,
      contentType: type,
      timeoutMs: FILE_MS,
    };
    await free(this.#send, put, deadline);
    if (!isMedia(token)) this.#issued.add(token);
    return token;
  }

  /** What is behind a signed URL, to be read. Its bearer needs no key, so that none is sent. */
  async download(url: string, deadline: Deadline): Promise<Response> {
    if (!isHttp(url)) throw new ServiceError("the output is at no http or https URL");
    const call: Call = { name: "GET output", method: "GET", url, isOutput: true, timeoutMs: FILE_MS };
    const reply = await free(this.#send, call, deadline);
    if (!reply.response) throw unavailable(call, reply, `the answer is ${nameOf(reply)}`);
    return reply.response;
  }

  #draft(request: unknown, checks: Checks, isAsync: boolean | undefined): Draft {
    const ready = draft(request, checks, isAsync, this.#issued);
    ready.warnings.forEach(this.#warn);
    return ready;
  }

  /**
   * Send a paid request, at most once as far as anybody can tell.
   *
   * Where it may have arrived, the money stays set aside.
   */
  async #charge(ready: Draft, deadline: Deadline): Promise<[Generation, Ticket]> {
    const call: Call = {
      name: "POST /v1/generate",
      method: "POST",
      url: "/v1/generate",
      body: ready.body,
      contentType: "application/json",
      isPaid: true,
      timeoutMs: ready.isAsync ? SUBMIT_MS : SYNC_TIMEOUT_MS + MARGIN_MS,
    };
    const hold = this.#budget.hold(ready.largestUsd);
    const at = new Date();
    const answer = await exchange(this.#send, call, deadline);
    if (isFailure(answer)) {
      const cause: unknown = answer.isAborted ? deadline.signal?.reason : undefined;
      if (answer.mayHaveArrived) throw await unknown(ready, at, answer.reason, undefined, cause);
      this.#budget.settle(hold, 0);
      throw answer.isAborted ? cause : notSent(call, answer);
    }
    if (answer.status >= 400 && answer.status < 500) {
      this.#budget.settle(hold, 0);
      throw refused(call, answer);
    }
    const generation = isOk(answer.status) ? generationOf(jsonOf(answer)) : undefined;
    if (!generation) {
      const unread = isOk(answer.status) ? " and cannot be read" : "";
      throw await unknown(ready, at, `the answer is ${nameOf(answer)}${unread}`, answer);
    }
    this.#settle(generation, hold);
    return [generation, this.#ticket(generation.generationId, generation.model, generation.mode, hold)];
  }

  /** The last of `follow`. An abort leaves no error without the id of what is paid for. */
  async #end(ticket: Ticket, before: Generation, deadline: Deadline): Promise<Generation> {
    let last = before;
    try {
      for await (last of this.follow(ticket, deadline, before));
    } catch (error) {
      if (!deadline.signal?.aborted || error !== deadline.signal.reason) throw error;
      throw stillRunning(ticket, last, "was not waited for to the end", { cause: error });
    }
    return last;
  }

  #ticket(generationId: string, model: string | undefined, mode: string | undefined, hold: Hold): Ticket {
    const ticket = { generationId, model, mode, hold };
    this.#tickets.set(generationId, ticket);
    return ticket;
  }

  /** Count what a generation cost, once it is done: nothing where it failed, the most where nobody says. */
  #settle(generation: Generation, hold: Hold): void {
    if (generation.isDone) {
      this.#budget.settle(hold, generation.status === "failed" ? 0 : (generation.costUsd ?? hold.largestUsd));
    }
  }

  /** Token, address and content type of an upload. */
  async #announced(file: FileBody, deadline: Deadline): Promise<{ token: string; url: string; type: string }> {
    const call: Call = {
      name: "POST /v1/uploads/initiate",
      method: "POST",
      url: "/v1/uploads/initiate",
      body: JSON.stringify({ content_type: file.contentType, file_name: file.name }),
      contentType: "application/json",
      timeoutMs: CALL_MS,
    };
    const reply = await free(this.#send, call, deadline);
    const place = jsonOf(reply);
    const { token, upload_url: url, content_type: type = file.contentType } = isObject(place) ? place : {};
    if (typeof token !== "string" || typeof url !== "string" || !token || !isHttp(url, BASE_URL)) {
      throw unavailable(call, reply, "the answer has no token or no upload_url");
    }
    return { token, url, type: String(type) };
  }
}

/** The generation. Throws GenerationFailed for one that failed. */
export function succeeded(generation: Generation): Generation {
  if (generation.status !== "failed") return generation;
  const message = `generation ${generation.generationId} failed; its cost is refunded, as the documentation says`;
  throw new GenerationFailed(message, generation);
}

/** Whether a look may well succeed when it is tried again. */
function isPassing(error: unknown): error is ProspoError {
  return error instanceof NetworkError || error instanceof Unavailable || error instanceof RateLimited;
}

/** Whether a URL of the service's can be asked: an absolute one of http or https; with a base, a path as well. */
function isHttp(url: string, base?: string): boolean {
  try {
    return /^https?:$/.test(new URL(url, base).protocol);
  } catch {
    return false;
  }
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function stillRunning(
  { generationId: id }: Ticket,
  last: Generation | undefined,
  what: string,
  options?: ErrorOptions,
): StillRunning {
  const message = `generation ${id} ${what}; it goes on, and client.job(${JSON.stringify(id)}) takes it up`;
  const error = new StillRunning(message, last, options);
  error.generationId = id;
  return error;
}

async function unknown(
  ready: Draft,
  at: Date,
  reason: string,
  reply?: Reply,
  cause?: unknown,
): Promise<OutcomeUnknown> {
  const requestSha256 = await sha256(new TextEncoder().encode(ready.body));
  const when = at.toISOString().slice(0, 19).replace("T", " ");
  return new OutcomeUnknown(
    `POST /v1/generate: ${reason}. Whether it was accepted and charged is unknown, so it was not sent again. Look at ` +
      `the balance and the dashboard for a generation of ${when} UTC first` +
      (requestSha256 ? ` (sha256 of the request: ${requestSha256.slice(0, 16)})` : ""),
    {
      reason,
      at,
      requestSha256,
      largestCostUsd: ready.largestUsd,
      status: reply?.status,
      requestId: reply && requestId(reply.headers),
    },
    cause === undefined ? undefined : { cause },
  );
}
