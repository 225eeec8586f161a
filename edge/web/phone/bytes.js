// Bytes: put together, compared, written and read as hexadecimal.
export const concat = (...parts) => {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
export const utf8 = (text) => new TextEncoder().encode(text);
export const big = (bytes) => bytes.length ? BigInt("0x" + hex(bytes)) : 0n; // as an unsigned number, first byte highest
export const unbig = (number, size) => unhex(number.toString(16).padStart(2 * size, "0"));
export const random = (size) => crypto.getRandomValues(new Uint8Array(size));
export const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));

// <0, 0 or >0 in the order of the bytes; a beginning of the other comes first.
export function compare(a, b) {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

export const same = (a, b) => compare(a, b) === 0;
