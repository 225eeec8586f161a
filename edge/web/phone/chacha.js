// ChaCha20-Poly1305 (RFC 8439) with empty associated data or a short one, which browsers have no API for. Records have
// at most a few kilobytes, so it is written to be read; the keys that it sees are those of one session.
import {concat, same} from "./bytes.js";

const P = (1n << 130n) - 5n;

function block(key, nonce, counter) {
  const state = new Uint32Array(16), view = new DataView(concat(key, nonce).buffer);
  state.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);
  for (let i = 0; i < 8; i++) state[4 + i] = view.getUint32(4 * i, true);
  state[12] = counter;
  for (let i = 0; i < 3; i++) state[13 + i] = view.getUint32(32 + 4 * i, true);
  const x = state.slice();
  const turn = (a, b, c, d) => {
    for (const [left, right] of [[16, 12], [8, 7]]) {
      x[a] += x[b]; x[d] ^= x[a]; x[d] = x[d] << left | x[d] >>> 32 - left;
      x[c] += x[d]; x[b] ^= x[c]; x[b] = x[b] << right | x[b] >>> 32 - right;
    }
  };
  for (let round = 0; round < 10; round++) {
    turn(0, 4, 8, 12); turn(1, 5, 9, 13); turn(2, 6, 10, 14); turn(3, 7, 11, 15);
    turn(0, 5, 10, 15); turn(1, 6, 11, 12); turn(2, 7, 8, 13); turn(3, 4, 9, 14);
  }
  const out = new DataView(new ArrayBuffer(64));
  for (let i = 0; i < 16; i++) out.setUint32(4 * i, x[i] + state[i], true);
  return new Uint8Array(out.buffer);
}

function cipher(key, nonce, data) {
  const out = data.slice();
  for (let at = 0; at < data.length; at += 64) {
    const stream = block(key, nonce, 1 + at / 64);
    for (let i = 0; i < 64 && at + i < data.length; i++) out[at + i] ^= stream[i];
  }
  return out;
}

const little = (bytes) => BigInt("0x0" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).reverse().join(""));
const padded = (bytes) => concat(bytes, new Uint8Array(-bytes.length & 15));

function tagOf(key, nonce, ad, data) {
  const once = block(key, nonce, 0), lengths = new DataView(new ArrayBuffer(16));
  const r = little(once.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  lengths.setUint32(0, ad.length, true);
  lengths.setUint32(8, data.length, true);
  const all = concat(padded(ad), padded(data), new Uint8Array(lengths.buffer));
  let sum = 0n;
  for (let at = 0; at < all.length; at += 16) sum = (sum + little(all.subarray(at, at + 16)) + (1n << 128n)) * r % P;
  sum += little(once.subarray(16, 32));
  return Uint8Array.from({length: 16}, (_, i) => Number(sum >> BigInt(8 * i) & 0xffn));
}

// The ciphertext, 16 bytes longer. key: 32 bytes; nonce: 12.
export function seal(key, nonce, ad, data) {
  const sealed = cipher(key, nonce, data);
  return concat(sealed, tagOf(key, nonce, ad, sealed));
}

// The plaintext; throws where it is not what was sealed.
export function open(key, nonce, ad, sealed) {
  const data = sealed.subarray(0, -16);
  if (sealed.length < 16 || !same(tagOf(key, nonce, ad, data), sealed.subarray(-16))) throw new Error("chacha: a wrong tag");
  return cipher(key, nonce, data);
}
