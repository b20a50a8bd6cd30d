/**
 * Webhooks, as a receiver needs them: whether a delivery is genuine, and what it tells.
 *
 * By WebCrypto, in any runtime that has it. Here live no server and no client.
 */

import { type Json, number, text, usd } from "./answers.js";
import { hex, sha256 } from "./digest.js";
import { CallerError } from "./errors.js";
import { withHidden } from "./secrecy.js";
import { SIGNATURE_HEADER } from "./service.js";
import { hasHalfPair } from "./text.js";
import { isObject } from "./values.js";

export { SIGNATURE_HEADER };

/**
 * How old an event may be unless you say otherwise. Far longer than the retries last: the last one, of an event whose
 * timestamp no retry renews, is no replay (GAP-75).
 */
export const MAX_AGE_MS = 86_400_000;

/**
 * `body`, `secret`: called wrongly. `missing`, `malformed`, `mismatch`: not genuine. `payload`, `age`: genuine, and
 * refused by `unwrapWebhook`.
 */
export type BadSignatureReason = "body" | "secret" | "missing" | "malformed" | "mismatch" | "payload" | "age";

const SAID: Readonly<Record<BadSignatureReason, string>> = {
  body: "the body is not bytes: pass the raw body as it came, before anything parses it",
  secret: "there is no secret to check with: expected text that is not empty, or a list of such",
  missing: `there is no signature: expected the value of the header ${SIGNATURE_HEADER}`,
  malformed: "the signature is not 64 lower-case hexadecimal digits",
  mismatch: "the signature is not that of this body: another secret, or the body is not as it was sent",
  payload: "the signature is genuine, the body is no event: expected a JSON object that names its `event`",
  age: "the signature is genuine, the event is older than maxAgeMs",
};
const HMAC = { name: "HMAC", hash: "SHA-256" };

/** A delivery that is not to be acted on. Holds no secret, no signature and nothing of the body. */
export class BadSignature extends CallerError {
  readonly reason: BadSignatureReason;

  constructor(reason: BadSignatureReason) {
    super(SAID[reason]);
    this.reason = reason;
  }

  override get name(): string {
    return "BadSignature";
  }
}

interface Told {
  /** What happened, such as `generation.completed`. */
  readonly event: string;
  readonly model: string | undefined;
  readonly mode: string | undefined;
  /** Undefined where there is none that can be read, or one without an offset. */
  readonly timestamp: Date | undefined;
  /**
   * The same for every delivery of one event, to tell repeats by. Not the body, which a retry may renew (GAP-75), save
   * where no generation is named.
   */
  readonly key: string;
  /** The whole of it as it came. It shows neither in console.log nor in JSON.stringify. */
  readonly raw: Json;
}

/** A generation has completed. What a delivery lacks, or has in another form, is undefined. */
export interface CompletedEvent extends Told {
  readonly kind: "completed";
  readonly generationId: string;
  /** Where the output is, for 7 days. Whoever has it has the output: it shows as little as `raw`. */
  readonly outputUrl: string | undefined;
  /** What was taken from the balance. */
  readonly costUsd: number | undefined;
  /** How long the generation took. No length of a clip. */
  readonly durationMs: number | undefined;
}

/** A generation has failed, and its cost was refunded. Nothing more of it is documented (GAP-74); see `raw`. */
export interface FailedEvent extends Told {
  readonly kind: "failed";
  readonly generationId: string;
}

/** One that is not documented, or names no generation. */
export interface OtherEvent extends Told {
  readonly kind: "other";
  readonly generationId: string | undefined;
}

/** What a genuine delivery tells: `switch (event.kind)`. */
export type WebhookEvent = CompletedEvent | FailedEvent | OtherEvent;

/** The raw body of a delivery. A Buffer is a Uint8Array. */
export type RawBody = Uint8Array | ArrayBuffer;

/** The signature of a body, for tests of a receiver. Throws TypeError for what is no body or no secret. */
export async function signWebhook(body: RawBody, secret: string): Promise<string> {
  const bytes = bytesOf(body);
  const [secretBytes] = secretsOf(secret);
  if (!bytes || !secretBytes) throw new TypeError(SAID[bytes ? "secret" : "body"]);
  const key = await crypto.subtle.importKey("raw", secretBytes, HMAC, false, ["sign"]);
  return hex(await crypto.subtle.sign("HMAC", key, bytes));
}

/**
 * Resolve if a delivery is genuine. Throws BadSignature, and nothing else, on any input.
 *
 * `body` is the raw body; `signature` the value of the header, undefined or null where there is none; `secret` one or,
 * while a new one takes over, several. Empty secrets are passed over: they verify nothing.
 */
export async function verifyWebhook(
  body: RawBody,
  signature: string | null | undefined,
  secret: string | readonly string[],
): Promise<void> {
  await genuine(body, signature, secret);
}

/**
 * The event of a genuine delivery.
 *
 * As `verifyWebhook` otherwise. Throws BadSignature, and nothing else, also for a genuine body that is no event, and
 * for an event older than `maxAgeMs`, 24 hours unless you say otherwise; Infinity is without limit. One without a
 * timestamp has no age.
 */
export async function unwrapWebhook(
  body: RawBody,
  signature: string | null | undefined,
  secret: string | readonly string[],
  options?: { readonly maxAgeMs?: number | undefined },
): Promise<WebhookEvent> {
  const bytes = await genuine(body, signature, secret);
  const event = await eventOf(bytes);
  if (!event) throw new BadSignature("payload");
  const ageMs = event.timestamp ? Date.now() - event.timestamp.getTime() : 0;
  if (ageMs > (options?.maxAgeMs ?? MAX_AGE_MS)) throw new BadSignature("age");
  return event;
}

/** The bytes that were judged, whatever becomes of the body meanwhile. */
async function genuine(body: unknown, signature: unknown, secret: unknown): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = bytesOf(body);
  if (!bytes) throw new BadSignature("body");
  const secrets = secretsOf(secret);
  if (secrets.length === 0) throw new BadSignature("secret");
  if (typeof signature !== "string" || signature === "") throw new BadSignature("missing");
  if (!/^[0-9a-f]{64}$/.test(signature)) throw new BadSignature("malformed");
  const given = Uint8Array.from({ length: 32 }, (_, index) => parseInt(signature.slice(2 * index, 2 * index + 2), 16));
  const verdicts = secrets.map(async (each) => {
    const key = await crypto.subtle.importKey("raw", each, HMAC, false, ["verify"]);
    return crypto.subtle.verify("HMAC", key, given, bytes); // in constant time
  });
  // All of them, whichever fits: the time tells nothing of it.
  if (!(await Promise.all(verdicts)).includes(true)) throw new BadSignature("mismatch");
  return bytes;
}

/** A copy of the bytes; undefined for what is none. */
function bytesOf(body: unknown): Uint8Array<ArrayBuffer> | undefined {
  try {
    if (body instanceof ArrayBuffer) return new Uint8Array(body).slice();
    // Not by its class: a test runner may have another one.
    if (!ArrayBuffer.isView(body)) return undefined;
    return new Uint8Array(new Uint8Array(body.buffer, body.byteOffset, body.byteLength));
  } catch {
    return undefined;
  }
}

/** The UTF-8 bytes of each secret that is one (GAP-76). */
function secretsOf(secret: unknown): Uint8Array<ArrayBuffer>[] {
  try {
    const given: readonly unknown[] = Array.isArray(secret) ? [...(secret as unknown[])] : [secret];
    return given.filter(isSecret).map((each) => new TextEncoder().encode(each));
  } catch {
    return [];
  }
}

/** Half a surrogate has no UTF-8. */
function isSecret(value: unknown): value is string {
  return typeof value === "string" && value !== "" && !hasHalfPair(value);
}

/** The event that a body tells; undefined where it is none. As tolerant as can be: what is refused here is lost. */
async function eventOf(body: Uint8Array<ArrayBuffer>): Promise<WebhookEvent | undefined> {
  let raw: unknown;
  try {
    raw = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
  if (!isObject(raw)) return undefined;
  const { event, data: given } = raw;
  if (typeof event !== "string") return undefined;
  const data = isObject(given) ? given : {};
  const generationId = text(raw["generation_id"]) || undefined;
  const told = {
    event,
    model: text(data["model"]),
    mode: text(data["mode"]),
    timestamp: timeOf(raw["timestamp"]),
    key: `${generationId ?? (await sha256(body))} ${event}`,
  };
  if (generationId !== undefined && event === "generation.completed") {
    const costUsd = usd(data["cost_usd"]);
    const durationMs = number(data["duration_ms"]);
    const outputUrl = text(data["output_url"]);
    return withHidden({ kind: "completed" as const, generationId, ...told, costUsd, durationMs }, { outputUrl, raw });
  }
  if (generationId !== undefined && event === "generation.failed") {
    return withHidden({ kind: "failed" as const, generationId, ...told }, { raw });
  }
  return withHidden({ kind: "other" as const, generationId, ...told }, { raw });
}

/** A time that says its offset: without one it is anybody's. */
function timeOf(value: unknown): Date | undefined {
  if (typeof value !== "string") return undefined;
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/i.test(value)) return undefined;
  const time = new Date(value);
  return Number.isNaN(time.getTime()) ? undefined : time;
}
