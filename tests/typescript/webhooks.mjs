// Judges webhook deliveries. The first argument is the package's index.js; what is asked for comes on stdin as JSON:
// {"deliveries": [{body: base64, signature, secret}]} are judged one by one; {"draw": count, "seed"} are drawn here,
// judged, and compared with the verdict of node:crypto.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const { BadSignature, unwrapWebhook, verifyWebhook } = await import(process.argv[2]);
/** Bytes that were given away. */
const detached = new Uint8Array(8);
structuredClone(detached.buffer, { transfer: [detached.buffer] });
const asked = JSON.parse(readFileSync(0, "utf8"));
const told = asked.draw ? await drawn(asked.draw, asked.seed) : await Promise.all(asked.deliveries.map(judged));
process.stdout.write(JSON.stringify(told));

/** Why a delivery is refused, null where it is taken; whatever else is thrown ends the process. */
async function reason(act) {
  try {
    await act();
    return null;
  } catch (error) {
    if (!(error instanceof BadSignature)) throw error;
    return error.reason;
  }
}

async function judged({ body, signature, secret }) {
  const bytes = Buffer.from(body, "base64");
  let event = null;
  const verdict = await reason(() => verifyWebhook(bytes, signature, secret));
  const unwrapped = await reason(async () => {
    event = await unwrapWebhook(bytes, signature, secret, { maxAgeMs: Infinity });
  });
  return { verdict, unwrapped, event: event && { ...event, outputUrl: event.outputUrl, raw: event.raw } };
}

/** How often each verdict fell. */
async function drawn(count, seed) {
  const draw = random(seed);
  const one = (...of) => of[Math.floor(draw() * of.length)];
  const text = () => Array.from({ length: draw() * 70 }, () => String.fromCharCode(draw() * 0x10000)).join("");
  const bytes = () => Uint8Array.from({ length: draw() * 40 }, () => draw() * 256);
  const digits = (length) => Array.from({ length }, () => one(..."0123456789abcdef")).join("");
  const hostile = () => {
    throw new Error("read me");
  };
  const traps = { get: hostile, has: hostile, getPrototypeOf: hostile, ownKeys: hostile, apply: hostile };
  const trap = new Proxy(() => 1, traps);
  const liar = {
    get length() {
      return hostile();
    },
    toString: hostile,
    [Symbol.toStringTag]: "ArrayBuffer",
  };
  const list = new Proxy([], { get: hostile });
  const odd = () =>
    one(null, undefined, 7, 7n, NaN, true, Symbol("x"), {}, [], () => 1, new Date(), trap, list, liar);
  const seen = {};
  for (let number = 0; number < count; number++) {
    const plain = one(bytes(), bytes(), new TextEncoder().encode('{"event": "x"}'), new Uint8Array());
    const shared = new Uint8Array(new SharedArrayBuffer(plain.length));
    shared.set(plain);
    const good = [plain, plain.buffer, Buffer.from(plain), shared];
    const body = one(...(draw() < 0.1 ? [odd(), text(), detached, [1], "{}"] : good));
    const secret = one("whsec", "k", "\0", "clé-🔑", text(), "", "\ud800", odd());
    const lists = [[secret], [odd(), secret, "whsec"], ["", secret], [[secret]], new Set([secret]), odd()];
    const secrets = one(secret, secret, ...lists);
    let signature = one(text(), digits(64), digits(63), digits(65), digits(64).toUpperCase(), `${digits(64)}\n`, odd());
    if (typeof secret === "string" && draw() < 0.5) {
      const genuine = createHmac("sha256", Buffer.from(secret)).update(plain).digest("hex");
      const at = Math.floor(draw() * 64);
      const changed = `${genuine.slice(0, at)}${one("0", "a", "é", "\0", "G")}${genuine.slice(at + 1)}`;
      const others = [genuine.toUpperCase(), ` ${genuine}`, genuine + genuine, new String(genuine), changed];
      signature = one(genuine, genuine, genuine, ...others);
    }
    const verdict = await reason(() => verifyWebhook(body, signature, secrets));
    const options = { maxAgeMs: one(Infinity, 0, undefined) };
    const again = await reason(() => unwrapWebhook(body, signature, secrets, options));
    assert.equal(verdict === null, isGenuine(body, signature, secrets), String(number));
    assert.ok(verdict === again || (verdict === null && again === "payload"), `${number}: ${verdict} ${again}`);
    seen[verdict ?? "taken"] = (seen[verdict ?? "taken"] ?? 0) + 1;
  }
  return seen;
}

/** A second opinion. What throws when it is read is no delivery. */
function isGenuine(body, signature, secrets) {
  try {
    if (typeof signature !== "string" || body === detached) return false;
    const bytes = body instanceof ArrayBuffer ? Buffer.from(body) : viewed(body);
    const keys = (Array.isArray(secrets) ? [...secrets] : [secrets]).filter(
      (each) => typeof each === "string" && each !== "" && Buffer.from(each).toString() === each,
    );
    return keys.some((key) => createHmac("sha256", key).update(bytes).digest("hex") === signature);
  } catch {
    return false;
  }
}

function viewed(view) {
  assert.ok(ArrayBuffer.isView(view));
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

/** Numbers from 0 up, below 1, the same again for the same seed (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
