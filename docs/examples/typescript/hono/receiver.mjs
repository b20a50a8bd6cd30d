// A webhook receiver on Hono: `npm install hono @hono/node-server prospo`, `node receiver.mjs [PORT]`; it listens at
// /webhook. `app` runs on Bun, Deno and edge runtimes as it is.
// The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in PROSPOLABS_WEBHOOK_OLD_SECRET.
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { BadSignature, SIGNATURE_HEADER, unwrapWebhook } from "prospo";

const names = ["PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET"];
const secrets = names.map((name) => process.env[name]).filter(Boolean);
if (secrets.length === 0) {
  console.error(`${names[0]} is not set`);
  process.exit(1);
}
const seen = new Set(); // in production a unique key of your database, written before the 200
const app = new Hono();

app.post("/webhook", bodyLimit({ maxSize: 1_000_000 }), async (c) => {
  let event;
  try {
    // arrayBuffer, not json: these bytes were signed; what a parser makes of them was not.
    event = await unwrapWebhook(await c.req.arrayBuffer(), c.req.header(SIGNATURE_HEADER), secrets);
  } catch (error) {
    if (error instanceof BadSignature) return c.body(null, 401);
    throw error;
  }
  if (!seen.has(event.key)) { // a repeat is answered 2xx like the first, and handled once
    seen.add(event.key);
    setTimeout(handle, 0, event); // after the answer: the provider does not wait for it
  }
  return c.body(null, 200);
});

function handle(event) {
  if (event.kind === "completed") console.log(event.event, event.generationId, event.costUsd, "USD");
  if (event.kind === "failed") console.log(event.event, event.generationId, "refunded");
}

serve({ fetch: app.fetch, port: Number(process.argv[2] ?? 3000), hostname: "127.0.0.1" });
