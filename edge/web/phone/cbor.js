// Deterministic CBOR of the protocol's subset (PROTOCOL.md 2): whole numbers, byte strings, texts, arrays, maps, true,
// false, null. Maps are Maps. A number that a double can't hold is a BigInt. Whatever has not its one encoding throws.
import {big, compare, concat, same, unbig, utf8} from "./bytes.js";

const DEPTH_MAX = 8;
const SIMPLE = new Map([[0xf4, false], [0xf5, true], [0xf6, null]]);
const SIZES = [1, 2, 4, 8];
const TEXT = new TextDecoder("utf-8", {fatal: true, ignoreBOM: true});

function head(kind, count) {
  const n = BigInt(count);
  if (n < 24n) return Uint8Array.of(kind | Number(n));
  const i = SIZES.findIndex((size) => n < 1n << BigInt(8 * size));
  return concat([kind | 24 + i], unbig(n, SIZES[i]));
}

export function encode(value) {
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === "boolean") return Uint8Array.of(value ? 0xf5 : 0xf4);
  if (typeof value === "bigint" || Number.isSafeInteger(value)) {
    return value < 0 ? head(0x20, -1n - BigInt(value)) : head(0x00, value);
  }
  if (value instanceof Uint8Array) return concat(head(0x40, value.length), value);
  if (typeof value === "string") return concat(head(0x60, utf8(value).length), utf8(value));
  if (Array.isArray(value)) return concat(head(0x80, value.length), ...value.map(encode));
  if (!(value instanceof Map)) throw new Error("cbor: a value of another kind");
  const pairs = Array.from(value, ([key, one]) => [encode(key), encode(one)]);
  pairs.sort(([a], [b]) => compare(a, b));
  return concat(head(0xa0, pairs.length), ...pairs.flat());
}

// The value of all of `data`.
export function decode(data) {
  const [value, end] = item(data, 0, 0);
  if (end !== data.length || !same(encode(value), data)) throw new Error("cbor: not the one encoding of a value");
  return value;
}

function item(data, at, depth) {
  const first = data[at], kind = first & 0xe0, info = first & 0x1f;
  if (at >= data.length) throw new Error("cbor: cut off");
  if (SIMPLE.has(first)) return [SIMPLE.get(first), at + 1];
  if (kind >= 0xc0 || info > 27) throw new Error("cbor: a kind that has no place here");
  const size = info < 24 ? 0 : SIZES[info - 24], start = at + 1 + size;
  const n = size ? big(data.subarray(at + 1, start)) : BigInt(info);
  const count = n <= Number.MAX_SAFE_INTEGER ? Number(n) : n;
  if (kind === 0x00) return [count, start];
  if (kind === 0x20) return [typeof count === "number" ? -1 - count : -1n - n, start];
  if (count > data.length - start) throw new Error("cbor: cut off");
  if (kind === 0x40) return [data.slice(start, start + count), start + count];
  if (kind === 0x60) return [TEXT.decode(data.subarray(start, start + count)), start + count];
  if (depth === DEPTH_MAX) throw new Error("cbor: too deep");
  return kind === 0x80 ? list(data, start, count, depth + 1) : map(data, start, count, depth + 1);
}

function list(data, at, count, depth) {
  const out = [];
  for (let value; out.length < count; out.push(value)) [value, at] = item(data, at, depth);
  return [out, at];
}

function map(data, at, count, depth) {
  const out = new Map(), kinds = new Set();
  for (let key, value, n = 0; n < count; n++) {
    kinds.add(data[at] & 0xe0);
    [key, at] = item(data, at, depth);
    [value, at] = item(data, at, depth);
    out.set(key, value);
  }
  if (kinds.size > 1 || count && !kinds.has(0x00) && !kinds.has(0x60)) throw new Error("cbor: keys of another kind");
  return [out, at];
}
