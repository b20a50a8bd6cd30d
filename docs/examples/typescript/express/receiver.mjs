// A webhook receiver on Express: `npm install express prospo`, `node receiver.mjs [PORT]`; it listens at /webhook.
// The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in PROSPOLABS_WEBHOOK_OLD_SECRET.
import express from "express";
import { BadSignature, SIGNATURE_HEADER, unwrapWebhook } from "prospo";

const names = ["PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET"];
const secrets = names.map((name) => process.env[name]).filter(Boolean);
if (secrets.length === 0) {
  console.error(`${names[0]} is not set`);
  process.exit(1);
}
const seen = new Set(); // in production a unique key of your database, written before the 200
const app = express();
app.disable("x-powered-by");

// raw, not json: these bytes were signed; what a parser makes of them was not.
app.post("/webhook", express.raw({ type: () => true, limit: "1mb", inflate: false }), async (req, res) => {
  let event;
  try {
    event = await unwrapWebhook(req.body ?? new Uint8Array(), req.get(SIGNATURE_HEADER), secrets);
  } catch (error) {
    if (error instanceof BadSignature) return res.sendStatus(401);
    throw error;
  }
  if (!seen.has(event.key)) { // a repeat is answered 2xx like the first, and handled once
    seen.add(event.key);
    setImmediate(handle, event); // after the answer: the provider does not wait for it
  }
  res.sendStatus(200);
});

function handle(event) {
  if (event.kind === "completed") console.log(event.event, event.generationId, event.costUsd, "USD");
  if (event.kind === "failed") console.log(event.event, event.generationId, "refunded");
}

// Express would show the stack of an error, such as that of a body beyond the limit.
app.use((error, req, res, next) => res.sendStatus(error.status ?? 500));

app.listen(Number(process.argv[2] ?? 3000), "127.0.0.1");
