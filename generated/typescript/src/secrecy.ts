/**
 * What must not be seen: the key, upload tokens, signed URLs. Texts are cleared of them, and members that hold them do
 * not show: neither console.log nor JSON.stringify nor a spread has them. Here lives no HTTP.
 */

import { KEY_PREFIX, TOKEN_PREFIX } from "./service.js";

export const HIDDEN = "***";
const LONGEST = 500;
const READ = 2000;
const key = /* @__PURE__ */ new RegExp(`${escaped(KEY_PREFIX)}[^\\s"',;]+`, "g");
const token = /* @__PURE__ */ new RegExp(`(${escaped(TOKEN_PREFIX)})[^\\s"',;/?]+`, "g");
const bearer = /(bearer )[^\s"',;]+/gi;
const user = /(https?:\/\/)[^\s"'/?#]*@/gi;
const word = /[^\s"']+/g;
const control = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g;

/** A text without keys, upload tokens, and what stands before @ or after ? in a URL. Bounded, fit for a terminal. */
export function redacted(text: string): string {
  const cleared = looked(text)
    .replace(key, HIDDEN)
    .replace(token, `$1${HIDDEN}`)
    .replace(bearer, `$1${HIDDEN}`)
    .replace(user, `$1${HIDDEN}@`)
    .replace(word, withoutQuery)
    .replace(control, " ");
  return cleared.length > LONGEST ? `${cleared.slice(0, LONGEST)}...` : cleared;
}

/** What is searched of a text: whoever sends a long one does not get long. Half a secret at its end is not known for one. */
function looked(text: string): string {
  return text.length <= READ ? text : `${text.slice(0, text.lastIndexOf(" ", READ) + 1)}...`;
}

/** A text as a pattern that matches it. */
function escaped(text: string): string {
  return text.replace(/[^A-Za-z0-9]/g, "\\$&");
}

/** A URL, or a word that ends in one, up to its query or fragment. */
function withoutQuery(word: string): string {
  const start = word.search(/https?:\/\//i);
  const length = start < 0 ? -1 : word.slice(start).search(/[?#]/);
  return length < 0 ? word : `${word.slice(0, start + length)}?${HIDDEN}`;
}

/** The object, frozen, with members more: they are there for who asks by name, and show nowhere else. */
export function withHidden<T extends object, H extends object>(object: T, hidden: H): T & Readonly<H> {
  for (const [name, value] of Object.entries(hidden)) Object.defineProperty(object, name, { value });
  return Object.freeze(object) as T & Readonly<H>;
}
