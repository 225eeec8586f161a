// Messages as they are signed, stored and hashed, and the frames that carry them (PROTOCOL.md 3, 5.2, 5.7, 6.1).
import {big, compare, concat, hex, same, sha256, unbig, unhex, utf8} from "./bytes.js";
import {decode, encode} from "./cbor.js";

export const MESSAGE_BYTES_MAX = 16384;
const BODY_BYTES_MAX = 15872, TAIL_BYTES = 66, SIGNATURE = unhex("5840"), HEAD = unhex("d284582aa301270319fde9045820");
const FRAGMENT = 9, FRAMES_MAX = 16, FRAGMENT_HEAD_BYTES = 6;
const FIELDS = [[1, 1, 2 ** 32 - 1], [2, 0, 2 ** 48 - 1], [3, 1, 31622400], [4, 0, 3], [5, 0, 65535]];

const bytesHead = (n) => Uint8Array.from(n < 24 ? [0x40 | n] : n < 256 ? [0x58, n] : [0x59, n >> 8, n & 255]);

const authorOf = (data) => data.subarray(14, 46);
const payloadOf = (data) => data.subarray(47 + (data[47] === 0x59 ? 3 : data[47] === 0x58 ? 2 : 1), -TAIL_BYTES);
const rebuild = (author, payload, signature) =>
  concat(HEAD, author, [0xa0], bytesHead(payload.length), payload, SIGNATURE, signature);

// What a message says, and whether its author has signed it. Throws for what is none.
export async function read(data) {
  if (data.length > MESSAGE_BYTES_MAX || data.length < HEAD.length + 36 + TAIL_BYTES) throw new Error("message: its size");
  const author = authorOf(data), payload = payloadOf(data);
  if (!same(rebuild(author, payload, data.subarray(-64)), data)) throw new Error("message: another form");
  const fields = decode(payload), isMap = (value) => value instanceof Map && ![...value.keys()].some((key) => key.length >= 0);
  if (!isMap(fields) || fields.size > 23 || fields.has(0)) throw new Error("message: its payload");
  const [seq, hlc, ttl_s, lane, type] = FIELDS.map(([key]) => fields.get(key)), dest = fields.get(6), body = fields.get(7);
  if (FIELDS.some(([key, least, most]) => !Number.isInteger(fields.get(key)) || fields.get(key) < least || fields.get(key) > most)
      || dest !== undefined && !(dest instanceof Uint8Array && dest.length === 32)
      || !isMap(body) || encode(body).length > BODY_BYTES_MAX) throw new Error("message: its fields");
  const id = (await sha256(data)).slice(0, 16);
  return {author, seq, hlc, ttl_s, lane, type, dest, id, key: concat(unbig(BigInt(hlc), 6), id.subarray(0, 10)),
    expires_s: Math.floor(hlc / 65536) + ttl_s, isGood: () => verify(author, payload, data.slice(-64))};
}

async function verify(author, payload, signature) {
  const signed = concat([0x84, 0x6a], utf8("Signature1"), [0x58, 0x2a], HEAD.subarray(4), author, [0x40],
    bytesHead(payload.length), payload);
  const key = await crypto.subtle.importKey("raw", author, {name: "Ed25519"}, false, ["verify"]);
  return crypto.subtle.verify("Ed25519", key, signature, signed);
}

// --- MESSAGES frames

function varint(n) {
  const out = [];
  for (; n > 0x7f; n >>>= 7) out.push(n & 0x7f | 0x80);
  return [...out, n];
}

// A frame of whole messages, each with its author.
export function packMessages(list) {
  return concat([2], ...list.map((data) => {
    const payload = payloadOf(data);
    return concat(authorOf(data), varint(1), varint(payload.length), payload, data.subarray(-64));
  }));
}

// The whole messages in a frame.
export function unpackMessages(frame) {
  const out = [];
  let at = 1;
  const take = (count) => {
    if (at + count > frame.length) throw new Error("messages: cut off");
    return frame.slice(at, at += count);
  };
  const number = () => {
    let n = 0;
    for (let shift = 0; shift < 21; shift += 7) {
      const [byte] = take(1);
      n |= (byte & 0x7f) << shift;
      if (byte < 0x80) return n;
    }
    throw new Error("messages: a number that does not end");
  };
  while (at < frame.length) {
    const author = take(32);
    for (let count = number(); count > 0; count--) {
      const payload = take(number());
      out.push(rebuild(author, payload, take(64)));
    }
  }
  return out;
}

// --- fragments of frames that are longer than a link takes

export async function splitFrame(frame, id, mtu) {
  if (frame.length <= mtu) return [frame];
  const room = mtu - FRAGMENT_HEAD_BYTES, total = Math.ceil(frame.length / room), check = (await sha256(frame))[0];
  return Array.from({length: total}, (_, i) =>
    concat([FRAGMENT, id >> 8 & 255, id & 255, i, total, check], frame.subarray(i * room, (i + 1) * room)));
}

export class Frames {
  #open = new Map(); // by id, total and check: the pieces that are there

  // The frame that this fragment completes, or null.
  async add(fragment) {
    const [, , , index, total, check] = fragment, name = hex(concat(fragment.subarray(1, 3), fragment.subarray(4, 6)));
    if (fragment.length <= FRAGMENT_HEAD_BYTES || total < 2 || index >= total) throw new Error("fragment: its head");
    const pieces = this.#open.get(name) || new Map();
    this.#open.delete(name);
    this.#open.set(name, pieces.set(index, fragment.subarray(FRAGMENT_HEAD_BYTES)));
    if (this.#open.size > FRAMES_MAX) this.#open.delete(this.#open.keys().next().value);
    if (pieces.size < total) return null;
    this.#open.delete(name);
    const frame = concat(...Array.from({length: total}, (_, i) => pieces.get(i)));
    if ((await sha256(frame))[0] !== check || frame[0] === FRAGMENT) throw new Error("fragment: not of one frame");
    return frame;
  }
}

// --- sets

// The fingerprint of a set of keys: how many, and 8 bytes.
export async function fingerprint(keys) {
  const sum = keys.reduce((total, key) => total + big(key), 0n) & (1n << 128n) - 1n;
  return [keys.length, (await sha256(unbig(BigInt(keys.length), 8), unbig(sum, 16))).slice(0, 8)];
}

export const ascending = (keys) => keys.sort(compare);
