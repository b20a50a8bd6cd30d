/** Files that are to be sent: what type they are by their content, and whether the API would take them. No HTTP. */

import { FileRefused } from "./errors.js";
import { UPLOAD_KINDS } from "./service.js";

/** What can be uploaded. Node opens a file as a Blob by `fs.openAsBlob`. A stream is read whole before it is sent. */
export type FileSource = Blob | Uint8Array | ReadableStream<Uint8Array>;

/** A file that is ready to be sent. */
export interface FileBody {
  readonly name: string;
  readonly contentType: string;
  readonly content: Blob;
}

const HEAD_BYTES = 16;
const LARGEST_BYTES = Math.max(...UPLOAD_KINDS.map(([, , maxBytes]) => maxBytes));

/** A file as it will be sent. `contentType` overrides what the content says. Throws FileRefused. */
export async function opened(source: FileSource, name?: string, contentType?: string): Promise<FileBody> {
  const named = name ?? (typeof File === "function" && source instanceof File ? source.name : "file");
  const content = await blobOf(source, named);
  const type = contentType ?? contentTypeOf(new Uint8Array(await content.slice(0, HEAD_BYTES).arrayBuffer()));
  const kind = UPLOAD_KINDS.find(([, types]) => type !== undefined && types.includes(type));
  if (type === undefined || kind === undefined) {
    const what = type === undefined ? "its content is of no type" : `${type} is none of the types`;
    const known = UPLOAD_KINDS.flatMap(([, types]) => types).join(", ");
    throw new FileRefused(`${named}: ${what} that can be uploaded: ${known}`);
  }
  const [media, , maxBytes] = kind;
  if (content.size === 0 || content.size > maxBytes) {
    throw new FileRefused(
      `${named} has ${content.size} bytes; ${media} files of 1 to ${maxBytes} bytes can be uploaded`,
    );
  }
  return { name: named, contentType: type, content };
}

/** The whole of a source. A stream is read no further than the largest file may be. */
async function blobOf(source: FileSource, name: string): Promise<Blob> {
  if (source instanceof Blob) return source;
  if (!(source instanceof ReadableStream)) return new Blob([source as BlobPart]);
  const reader = source.getReader();
  const pieces: BlobPart[] = [];
  for (let size = 0; size <= LARGEST_BYTES; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(pieces);
    pieces.push(value as BlobPart);
    size += value.length;
  }
  await reader.cancel();
  throw new FileRefused(`${name} has more than ${LARGEST_BYTES} bytes, which no file may have`);
}

/** The content type of a file, by its first 16 bytes; undefined for one that the API does not list. */
export function contentTypeOf(head: Uint8Array): string | undefined {
  const ascii = (from: number, to: number): string => String.fromCharCode(...head.subarray(from, to));
  if (ascii(0, 3) === "\xff\xd8\xff") return "image/jpeg";
  if (ascii(0, 8) === "\x89PNG\r\n\x1a\n") return "image/png";
  if (ascii(0, 4) === "RIFF") {
    const form = ascii(8, 12);
    return form === "WEBP" ? "image/webp" : form === "WAVE" ? "audio/wav" : undefined;
  }
  if (ascii(4, 8) === "ftyp") {
    const brand = ascii(8, 12);
    // Pictures such as HEIC and AVIF, and sound alone, are kept in the same container under brands of their own.
    if (["heic", "heix", "mif1", "msf1", "avif", "avis", "M4A ", "M4B "].includes(brand)) return undefined;
    return brand === "qt  " ? "video/quicktime" : "video/mp4";
  }
  if (["moov", "mdat", "wide"].includes(ascii(4, 8))) return "video/quicktime";
  // Without an ID3 tag, MP3 begins with a frame: eleven bits that are set, then layer III.
  const [first = 0, second = 0] = head;
  return ascii(0, 3) === "ID3" || (first === 0xff && (second & 0xe6) === 0xe2) ? "audio/mpeg" : undefined;
}
