// `npm install prospo`, `PROSPOLABS_API_KEY=… node generate.mjs "a paper boat on a quiet lake"`: a clip, in a file.
import { writeFile } from "node:fs/promises";
import { Client, GenerationFailed, InvalidRequest, OutcomeUnknown, StillRunning } from "prospo";

const client = new Client({ maxCostUsd: 2 }); // PROSPOLABS_BASE_URL leads to a mock: `prospec mock`
const params = { prompt: process.argv[2] ?? "a paper boat on a quiet lake", duration: 10, aspect_ratio: "16:9" };

try {
  const result = await client.generate({ model: "seedance-2-fast", mode: "text", params });
  const response = await client.download(result);
  const [, type] = response.headers.get("Content-Type")?.split("/") ?? [];
  await writeFile(`out.${type}`, response.body);
  console.log(`out.${type} for ${result.costUsd} USD; ${(await client.balance()).balanceUsd} USD are left`);
} catch (error) {
  if (error instanceof InvalidRequest) console.error(error.problems); // not sent
  else if (error instanceof StillRunning) console.error(`later: client.job(${JSON.stringify(error.generationId)})`);
  else if (error instanceof GenerationFailed) console.error(error.message); // refunded
  else if (error instanceof OutcomeUnknown) console.error(error.message); // it says where to look before a second try
  else throw error;
  process.exitCode = 1;
}
