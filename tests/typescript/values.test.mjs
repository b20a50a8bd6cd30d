// What a value of JavaScript is to the validators where it is none of JSON, or not only that.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isSeedance2FastText,
  isValid,
  isValidJson,
  MODELS,
  quote,
  seedance2Fast,
  validate,
  validateJson,
} from "../../generated/typescript/dist/index.js";

const MODEL = "seedance-2-fast";
const told = (problems) => problems.map(({ path, code, severity }) => `${severity} ${code} ${path}`);
const withParams = (params) => ({ model: MODEL, params: { prompt: "x", ...params } });

/** Both verdicts of a request, which agree, as the problems that are told. */
function judged(request) {
  const problems = validate(request);
  assert.equal(isValid(request), !problems.some(({ severity }) => severity === "error"));
  return told(problems);
}

test("a member that is undefined is none, as JSON.stringify leaves it out", () => {
  assert.deepEqual(judged({ ...withParams({ seed: undefined, nonsense: undefined }), mode: undefined }), []);
  assert.deepEqual(judged({ model: MODEL, params: { prompt: undefined } }), ["error required /params/prompt"]);
  assert.deepEqual(judged({ model: undefined, params: {} }), ["error required /model"]);
  assert.deepEqual(judged({ model: MODEL, params: undefined }), ["error required /params"]);
});

test("numbers that are none in JSON are none", () => {
  for (const duration of [NaN, Infinity, -Infinity]) {
    assert.deepEqual(judged(withParams({ duration })), ["error type /params/duration"]);
  }
  assert.deepEqual(judged(withParams({ duration: 5n })), ["error type /params/duration"]);
  assert.deepEqual(judged(withParams({ duration: 5.0 })), []);
  const [{ message }] = validate(withParams({ duration: -0 }));
  assert.equal(message, "duration is 0, below the range 4 to 15 s");
});

test("an object is an object, whatever its prototype", () => {
  const bare = Object.assign(Object.create(null), { prompt: "x" });
  assert.deepEqual(judged({ model: MODEL, params: bare }), []);
  assert.deepEqual(judged({ model: MODEL, params: Object.freeze({ prompt: "x" }) }), []);
  class Params {
    prompt = "x";
    get duration() {
      return 99;
    }
  }
  assert.deepEqual(judged({ model: MODEL, params: new Params() }), []);
});

test("what every object inherits is no member, and no name of the catalog", () => {
  for (const name of ["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__"]) {
    assert.deepEqual(judged({ model: name, params: {} }), ["error model /model"]);
    assert.deepEqual(judged({ model: MODEL, mode: name, params: {} }), ["error mode /mode"]);
    const params = JSON.parse(`{"prompt": "x", "${name}": 1}`);
    assert.deepEqual(judged({ model: MODEL, params }), [`error additionalProperties /params/${name}`]);
    const request = JSON.parse(`{"model": "${MODEL}", "params": {"prompt": "x"}, "${name}": 1}`);
    assert.deepEqual(judged(request), [`error additionalProperties /${name}`]);
    assert.deepEqual(judged(withParams({ resolution: name })), ["error enum /params/resolution"]);
    const size = JSON.parse(`{"${name}": 1}`);
    assert.deepEqual(judged({ model: "gpt-image-2", params: { prompt: "x", image_size: size } }), [
      "error required /params/image_size/width",
      "error required /params/image_size/height",
      `error additionalProperties /params/image_size/${name}`,
    ]);
  }
});

test("whatever is no object is no request", () => {
  for (const value of [undefined, null, 1, "x", true, [], Symbol("x"), () => {}]) {
    assert.deepEqual(judged(value), ["error type "]);
  }
});

test("a value that holds itself is judged as any other", () => {
  const params = { prompt: "x" };
  params.duration = params;
  params.nonsense = [params];
  assert.deepEqual(judged({ model: MODEL, params }), [
    "error type /params/duration",
    "error additionalProperties /params/nonsense",
  ]);
});

test("a text is counted in bytes, and half a pair is in no text", () => {
  const body = JSON.stringify(withParams({}));
  for (const [filler, bytes] of [["a", 1], ["é", 2], ["界", 3], ["🎬", 4]]) {
    const fits = body.replace('"x"', `"${filler.repeat(Math.floor(((1 << 20) - body.length + 1) / bytes))}"`);
    assert.ok(isValidJson(fits));
    const over = fits.replace('"prompt"', '    "prompt"');
    assert.ok(!isValidJson(over));
    const [{ message }] = validateJson(over);
    assert.match(message, /^not a JSON value: 1,048,5[0-9]{2} bytes; at most 1,048,576 are read$/);
  }
  assert.ok(isValidJson(body.replace("x", "🎬")));
  for (const half of ["\ud83c", "\udfac", "\udfac\ud83c"]) {
    const broken = body.replace("x", half);
    assert.ok(!isValidJson(broken));
    assert.deepEqual(told(validateJson(broken)), ["error json "]);
  }
});

test("bytes are those of the view, not of its buffer", () => {
  const bytes = new TextEncoder().encode(`###${JSON.stringify(withParams({}))}###`);
  const view = bytes.subarray(3, -3);
  assert.ok(isValidJson(view));
  assert.deepEqual(validateJson(view), []);
  assert.ok(!isValidJson(bytes));
});

test("the catalog is there, by model and mode", () => {
  assert.equal(MODELS.get(MODEL), seedance2Fast);
  for (const model of MODELS.values()) {
    for (const mode of model.modes) assert.deepEqual(judged(JSON.parse(mode.example)), []);
  }
  assert.ok(isSeedance2FastText({ prompt: "x" }));
  assert.ok(!isSeedance2FastText({ prompt: 1 }));
  assert.ok(!isSeedance2FastText(undefined));
});

test("no price is told of a request that would be refused", () => {
  assert.throws(() => quote({ model: MODEL, params: {} }), { name: "InvalidRequest" });
});
