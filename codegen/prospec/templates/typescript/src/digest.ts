/** Digests, by WebCrypto. */

/** SHA-256 in hexadecimal digits; undefined where a browser has no WebCrypto, as on a page of http. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
  const { subtle } = globalThis.crypto as Partial<Crypto>;
  return subtle && hex(await subtle.digest("SHA-256", bytes));
}

export function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
