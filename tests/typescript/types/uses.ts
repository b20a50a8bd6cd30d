// A user's program, clean under the strictest settings. It is compiled alone and never run.
import { Client, isSeedance2FastText, isValid, MODELS, quote, seedance2Fast, validate, validateJson } from "prospo";
import type {
  AnyRequest,
  FirstMode,
  GenerateRequest,
  Generation,
  Model,
  ModelId,
  ModeOf,
  ParamsOf,
  Problem,
  Seedance2FastTextParams,
} from "prospo";
import { isVeo31LiteText } from "prospo/models/veo-3-1-lite";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <T extends true>(): T | undefined => undefined;

const client = new Client({ apiKey: "prsp-local" });
const made: Generation = await client.generate({ model: "seedance-2-fast", params: { prompt: "A red ball" } });
await client.generate({ model: "seedance-2-fast", params: { prompt: "x", duration: 6, aspect_ratio: "16:9" } });
await client.generate({
  model: "seedance-2-fast",
  mode: "image",
  params: { prompt: "x", image_url: "https://example.com/a.png" },
  webhook_url: "https://example.com/hook",
  async: true,
});
await client.generate({ model: "veo-3-1-lite", mode: "text", params: { prompt: "x", duration: "8s" } });
await client.generate({ model: "gpt-image-2", params: { prompt: "x", image_size: "square_hd" } });
await client.generate({ model: "gpt-image-2", params: { prompt: "x", image_size: { width: 1024, height: 1536 } } });
const urls: readonly string[] = ["https://example.com/clip.mp4"];
await client.generate({
  model: "kling-3-motion-control",
  params: { video_urls: urls, image_url: "https://example.com/a.png" },
});
await client.submit({ model: "kling-o3", params: { prompt: "x" } });

// What is built piece by piece
const params: Seedance2FastTextParams = { prompt: "x" };
params.seed = 7;
const request: GenerateRequest<"seedance-2-fast"> = { model: "seedance-2-fast", params };
const other: GenerateRequest<"seedance-2-fast", "image"> = {
  model: "seedance-2-fast",
  mode: "image",
  params: { prompt: "x", image_url: "https://example.com/a.png" },
};
await client.generate(request);
await client.generate(other);
const any: AnyRequest[] = [request, other, { model: "kling-o3", params: { prompt: "x", duration: 5 } }];

// Whatever is judged need have no type
const problems: Problem[] = validate(any[0]);
const more: Problem[] = validateJson(new Uint8Array());
const verdicts: boolean[] = [isValid({}), isValid(null), isSeedance2FastText(params), isVeo31LiteText({})];
const model: Model | undefined = MODELS.get("seedance-2-fast");
const price: number | undefined = quote(request).usd;
const title: string = seedance2Fast.modes[0].title;

holds<Same<ParamsOf["seedance-2-fast"]["text"], Seedance2FastTextParams>>();
holds<Same<FirstMode["seedance-2-fast"], "text">>();
holds<Same<ModeOf<"kling-o3">, "text" | "image">>();
holds<Same<Extract<ModelId, `kling${string}`>, "kling-3-motion-control" | "kling-o3" | "kling-v3">>();
console.log(made, problems, more, verdicts, model, price, title);
