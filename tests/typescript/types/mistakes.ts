// Mistakes that the compiler finds: one error each, on the line that the comment stands behind.
import { Client } from "prospo";
import type { AnyRequest, GenerateRequest, Seedance2FastTextParams } from "prospo";

const client = new Client({ apiKey: "prsp-local" });

// A wrong value
client.generate({ model: "seedance-2-fast", params: { prompt: "x", aspect_ratio: "16x9" } }); // TS2322
client.generate({ model: "seedance-2-fast", mode: "text", params: { prompt: "x", aspect_ratio: "16x9" } }); // TS2322
client.generate({ model: "seedance-2-fast", params: { prompt: "x", duration: "6" } }); // TS2322
client.generate({ model: "veo-3-1-lite", params: { prompt: "x", duration: 8 } }); // TS2322
client.generate({ model: "gpt-image-2", params: { prompt: "x", image_size: { width: 16 } } }); // TS2322
client.generate({ model: "gpt-image-2", mode: "edit", params: { prompt: "x", image_urls: "https://a.b/c" } }); // TS2322
// No undefined where a member may be left out
client.generate({ model: "seedance-2-fast", params: { prompt: "x", seed: undefined } }); // TS2375
// A param that is missing, misspelt, or none of the mode's
client.generate({ model: "seedance-2-fast", params: {} }); // TS2741
client.generate({ model: "seedance-2-fast", params: { prompt: "x", durration: 6 } }); // TS2561
client.generate({ model: "seedance-2-fast", mode: "text", params: { prompt: "x", durration: 6 } }); // TS2561
client.generate({ model: "seedance-2-fast", params: { prompt: "x", image_url: "https://a.b/c" } }); // TS2353
client.generate({ model: "seedance-2-fast", mode: "text", params: { prompt: "x", image_url: "https://a" } }); // TS2353
client.generate({ model: "seedance-2-fast", mode: "image", params: { prompt: "x" } }); // TS2741
// A param of another model
client.generate({ model: "kling-o3", params: { prompt: "x", negative_prompt: "y" } }); // TS2353
// A model and a mode that there are not
client.generate({ model: "seedance-9", params: { prompt: "x" } }); // TS2820
client.generate({ model: "seedance-2-fast", mode: "texts", params: { prompt: "x" } }); // TS2820
const motion = { video_urls: ["https://a"], image_url: "https://a" };
client.generate({ model: "kling-3-motion-control", mode: "motion", params: motion }); // TS2322
// A member of the request
client.generate({ model: "kling-o3", params: { prompt: "x" }, webhookUrl: "https://a.b/c" }); // TS2561
client.generate({ model: "kling-o3", params: { prompt: "x" }, async: "true" }); // TS2322
client.submit({ model: "kling-o3", params: { prompt: 5 } }); // TS2322
// Types by their names
export const params: Seedance2FastTextParams = { prompt: "x", resolution: "8k" }; // TS2322
export const request: GenerateRequest<"kling-o3", "image"> = { model: "kling-o3", params: { prompt: "x" } }; // TS2741
export const any: AnyRequest = { model: "kling-o3", params: { prompt: "x", image_url: "https://a" } }; // TS2322
export const mode: AnyRequest = { model: "seedance-2-fast", mode: "image", params: { prompt: "x" } }; // TS2322
