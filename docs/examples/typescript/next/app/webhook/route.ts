// A webhook receiver on Next.js: `npm install prospo`, this file as app/webhook/route.ts; it listens at /webhook.
// The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in PROSPOLABS_WEBHOOK_OLD_SECRET.
import { BadSignature, SIGNATURE_HEADER, unwrapWebhook, type WebhookEvent } from "prospo";

const names = ["PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET"];
const secrets = names.flatMap((name) => process.env[name] || []);
if (secrets.length === 0) throw new Error(`${names[0]} is not set`);
const MAX_BYTES = 1_000_000;
const seen = new Set<string>(); // in production a unique key of your database, written before the 200

export async function POST(request: Request): Promise<Response> {
  const body = await bodyOf(request);
  if (!body) return new Response(null, { status: 413 });
  let event: WebhookEvent;
  try {
    event = await unwrapWebhook(body, request.headers.get(SIGNATURE_HEADER), secrets);
  } catch (error) {
    if (error instanceof BadSignature) return new Response(null, { status: 401 });
    throw error;
  }
  if (!seen.has(event.key)) { // a repeat is answered 2xx like the first, and handled once
    seen.add(event.key);
    handle(event); // what takes long belongs into a queue, or into `after` of next/server
  }
  return new Response(null, { status: 200 });
}

/** The bytes, not request.json(): these were signed. Undefined for more than anybody sends. */
async function bodyOf(request: Request): Promise<ArrayBuffer | undefined> {
  const reader = request.body?.getReader();
  const pieces: BlobPart[] = [];
  for (let size = 0; reader && size <= MAX_BYTES; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(pieces).arrayBuffer();
    pieces.push(value);
    size += value.length;
  }
  return reader ? undefined : new ArrayBuffer(0);
}

function handle(event: WebhookEvent): void {
  if (event.kind === "completed") console.log(event.event, event.generationId, event.costUsd, "USD");
  if (event.kind === "failed") console.log(event.event, event.generationId, "refunded");
}
