/**
 * Sends a call by fetch, once. The only module that knows of fetch.
 *
 * An error of fetch's becomes a Failure here, and is let go of: it may hold what was sent. Here lives no decision on
 * what to send, or on sending it again.
 */

import { NoAnswer, NotConfigured } from "./errors.js";
import type { Call, Failure, Reply } from "./exchange.js";
import { HIDDEN, redacted } from "./secrecy.js";
import { BASE_URL } from "./service.js";

/** What is asked of a fetch that is handed in. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

const ANSWER_MAX_BYTES = 8 << 20;
/** Certificates that are not trusted: said in the handshake, before a byte of a request. */
const UNTRUSTED = /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_CERT_|INVALID_CA$|HOSTNAME_MISMATCH$)/;
/** Node's own words, and all that tells this from a connection that ended later. */
const WITHIN_TLS = "Client network socket disconnected before secure TLS connection was established";

/** Where calls go, and with which key. */
export class Transport {
  readonly #base: URL;
  readonly #key: string;
  readonly #fetch: Fetch | undefined;

  /** As given, or else by the environment, where there is one. Throws NotConfigured. */
  constructor(apiKey: string | undefined, baseUrl: string | undefined, fetch: Fetch | undefined) {
    this.#key = apiKey ?? environment("PROSPOLABS_API_KEY") ?? "";
    this.#base = based(baseUrl ?? (environment("PROSPOLABS_BASE_URL") || BASE_URL));
    this.#fetch = fetch;
    if (!this.#key) throw new NotConfigured("there is no API key: set PROSPOLABS_API_KEY, or pass apiKey");
    if (!/^[\x21-\x7e]+$/.test(this.#key)) {
      throw new NotConfigured("the API key has a character that no key has, such as a space or a line's end");
    }
  }

  /** Send a call, and read its answer. Whatever goes wrong is a Failure. */
  async send(call: Call, signal: AbortSignal | undefined): Promise<Reply | Failure> {
    const limit = new Limit(call.timeoutMs, signal);
    let response: Response | undefined;
    let reply: Reply | Failure;
    try {
      response = await (this.#fetch ?? globalThis.fetch)(...this.#request(call, limit.signal));
      const { status, headers } = response;
      if (call.isOutput && status === 200) {
        limit.rest();
        return { status, headers, text: undefined, response: this.#guarded(call, response, limit) };
      }
      reply = { status, headers, text: this.#cleared(await whole(response)) };
    } catch (error) {
      reply = this.#failure(call, error, limit, response === undefined && isProofOfSilence(error));
    }
    limit.lift();
    return reply;
  }

  #request(call: Call, signal: AbortSignal): [url: string, init: RequestInit] {
    // A base URL may have a path of its own, as that of a proxy has.
    const url = new URL(call.url.startsWith("/v1/") ? `.${call.url}` : call.url, this.#base);
    const headers = new Headers({ Accept: call.isOutput ? "*/*" : "application/json" });
    if (!call.isOutput && url.origin === this.#base.origin) headers.set("Authorization", `Bearer ${this.#key}`);
    if (call.contentType !== undefined) headers.set("Content-Type", call.contentType);
    return [
      url.href,
      {
        method: call.method,
        headers,
        body: call.body ?? null,
        redirect: call.isOutput ? "follow" : "manual",
        credentials: "omit",
        cache: "no-store",
        signal,
      },
    ];
  }

  #failure(call: Call, error: unknown, { isLate, isAborted }: Limit, isSilent: boolean): Failure {
    // Whatever the reason of an abort looks like, it is the caller's, and proves nothing.
    if (isAborted) return { reason: "it was aborted", mayHaveArrived: true, isAborted };
    const late = `no whole answer within ${Math.ceil(call.timeoutMs) / 1000} s`;
    return { reason: isLate ? late : this.#reasonOf(error), mayHaveArrived: isLate || !isSilent, isAborted };
  }

  /** An answer whose text repeats the key to nobody. */
  #cleared(body: ArrayBuffer): string | undefined {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(body).replaceAll(this.#key, HIDDEN);
    } catch {
      return undefined;
    }
  }

  #reasonOf(error: unknown): string {
    const { code, message } = causeOf(error);
    return redacted(`${code ? `${code}: ` : ""}${message}`.replaceAll(this.#key, HIDDEN)).replace(/\.$/, "");
  }

  /** The answer without its URL, whose body ends whole, or by an error of ours. */
  #guarded(call: Call, response: Response, limit: Limit): Response {
    const headers = new Headers(response.headers);
    if (headers.has("Content-Encoding")) {
      // What is read is decoded.
      headers.delete("Content-Encoding");
      headers.delete("Content-Length");
    }
    const reader = response.body?.getReader();
    const pull = async (to: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      try {
        const piece = await reader?.read();
        if (piece?.value) return to.enqueue(piece.value);
        to.close();
      } catch (error) {
        const failure = this.#failure(call, error, limit, false);
        to.error(limit.isAborted ? limit.signal.reason : new NoAnswer(`${call.name}: ${failure.reason}`));
      }
      limit.lift();
    };
    const cancel = (reason: unknown): Promise<void> | undefined => {
      limit.lift();
      return reader?.cancel(reason);
    };
    return new Response(new ReadableStream({ pull, cancel }, { highWaterMark: 0 }), { status: 200, headers });
  }
}

/** Ends a call when its time is over, or when its caller says so. */
class Limit {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: ReturnType<typeof setTimeout>;
  isLate = false;

  constructor(ms: number, outer: AbortSignal | undefined) {
    this.#outer = outer;
    this.#timer = setTimeout(() => {
      this.isLate = true;
      this.#controller.abort();
    }, ms);
    outer?.addEventListener("abort", this.#abort);
    if (outer?.aborted) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isAborted(): boolean {
    return !this.isLate && this.#controller.signal.aborted;
  }

  /** Node waits for its timers before it ends, and need not for this one, should nobody read on. */
  rest(): void {
    (this.#timer as { unref?: () => void }).unref?.();
  }

  lift(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#abort);
  }

  readonly #abort = (): void => this.#controller.abort(this.#outer?.reason);
}

/** The URL, which ends in a slash. Throws NotConfigured. */
function based(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // It is none.
  }
  // A user would take the place of the key, a query that of each path.
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw new NotConfigured(`the base URL is none: it looks like ${BASE_URL}`);
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/** A variable of the environment; undefined where there is none, as in a browser. */
function environment(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name];
}

/** The whole body. Throws for one that is longer than any answer of this API. */
async function whole(response: Response): Promise<ArrayBuffer> {
  const reader = response.body?.getReader();
  const pieces: BlobPart[] = [];
  let length = 0;
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > ANSWER_MAX_BYTES) {
      await reader.cancel();
      throw new RangeError(`the answer is longer than ${ANSWER_MAX_BYTES} bytes`);
    }
    pieces.push(value);
  }
  return new Blob(pieces).arrayBuffer();
}

/**
 * Whether an error of fetch's proves that no byte of the request was sent: no such name, refused, no TLS.
 *
 * Only Node tells so, by its codes. In a browser each error is the same TypeError, and nothing is proven.
 */
function isProofOfSilence(error: unknown): boolean {
  const { cause } = error instanceof Error ? error : {};
  if (!(cause instanceof Error)) return false;
  // Of a name with several addresses, each was tried.
  const each = cause instanceof AggregateError ? (cause.errors as unknown[]) : [cause];
  return each.length > 0 && each.every(isOfConnecting);
}

function isOfConnecting(error: unknown): boolean {
  const { code, syscall, message } = error as { code?: unknown; syscall?: unknown; message?: unknown };
  if (syscall === "connect" || syscall === "getaddrinfo") return true;
  return code === "UND_ERR_CONNECT_TIMEOUT" || message === WITHIN_TLS || UNTRUSTED.test(String(code));
}

function causeOf(error: unknown): { code: string; message: string } {
  const outer = error instanceof Error ? error : new Error("the connection ended");
  const inner = outer.cause instanceof Error ? outer.cause : outer;
  const { code } = inner as { code?: unknown };
  return { code: typeof code === "string" ? code : "", message: inner.message || outer.message };
}
