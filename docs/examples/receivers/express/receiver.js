// A webhook receiver on Express: `npm install`, `node receiver.js [PORT]`; its URL is printed first.
// The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in PROSPOLABS_WEBHOOK_OLD_SECRET.
import crypto from 'node:crypto';
import express from 'express';

const names = ['PROSPOLABS_WEBHOOK_SECRET', 'PROSPOLABS_WEBHOOK_OLD_SECRET'];
const secrets = names.map((name) => process.env[name]).filter(Boolean);
if (secrets.length === 0) {
  console.error(`${names[0]} is not set`);
  process.exit(1);
}

const seen = new Set(); // in production a unique key of your database, written before the 200

function isGenuine(body, signature) {
  const given = Buffer.from(signature, 'latin1');
  const verdicts = secrets.map((secret) => {
    const expected = Buffer.from(crypto.createHmac('sha256', secret).update(body).digest('hex'));
    // timingSafeEqual throws when the lengths differ.
    return given.length === expected.length && crypto.timingSafeEqual(given, expected);
  });
  return verdicts.includes(true);
}

const app = express();
app.disable('x-powered-by');

// raw, not json: these bytes were signed; what a parser makes of them was not.
app.post('/webhook', express.raw({ type: () => true, limit: '1mb', inflate: false }), (req, res) => {
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0); // without a body there is no buffer
  if (!isGenuine(body, req.get('X-Prospo-Signature') ?? '')) return res.sendStatus(401);
  let event;
  try {
    event = JSON.parse(body);
  } catch {
    return res.sendStatus(400);
  }
  if (typeof event?.event !== 'string' || typeof event.generation_id !== 'string') return res.sendStatus(400);
  const key = `${event.generation_id} ${event.event}`;
  if (!seen.has(key)) { // a repeat is answered 2xx like the first, and done once
    seen.add(key);
    setImmediate(handle, event);
  }
  res.sendStatus(200);
});

function handle(event) {
  console.log(event.event, event.generation_id);
}

// Express would show the stack of an error, such as that of a body beyond the limit.
app.use((error, req, res, next) => res.sendStatus(error.status ?? 500));

const server = app.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/webhook`);
});
