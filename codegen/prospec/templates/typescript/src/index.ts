/** prospo: checks requests for the Prospolabs API before they are sent and paid for, sends them, and hears of them. */

export * from "./models/index.js";
export type { Evidence, Mode, Model, Param, Price, Rate, Size } from "./model.js";
export type { AnyRequest, GenerateRequest, ModelId, ModeOf } from "./request.js";
export type { Problem, Severity } from "./problem.js";
export { quote, type Quote } from "./price.js";
export { isValid, isValidJson, validate, validateJson } from "./rules.js";
export { type Balance, Generation, type Json, type Status } from "./answers.js";
export { Budget } from "./budget.js";
export { Client, type ClientOptions, type RequestOptions, type UploadOptions } from "./client.js";
export type { Checks } from "./drafting.js";
export * from "./errors.js";
export type { FileSource } from "./files.js";
export { Job, type Waiting } from "./job.js";
export type { Fetch } from "./transport.js";
export * from "./webhooks.js";
