// The initiator's side of a session (PROTOCOL.md 7.3): Noise XX, with a community key XXpsk3, then sealed records.
// Keys are made for one session and forgotten with it, so a phone can't be told again by them.
import {big, concat, same, sha256, unbig, unhex, utf8} from "./bytes.js";
import {open, seal} from "./chacha.js";

const PROLOGUE = utf8("waypost link 1"), VERSION = 1, NONE = new Uint8Array(0);
const PKCS8 = {X25519: "302e020100300506032b656e04220420", Ed25519: "302e020100300506032b657004220420"};
const P = (1n << 255n) - 19n;

// --- keys

const unbase64url = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

// The private key as WebCrypto has it, and the public one's 32 bytes.
async function pair(name, secret, uses) {
  const der = concat(unhex(PKCS8[name]), secret);
  const key = await crypto.subtle.importKey("pkcs8", der, {name}, true, uses);
  return {key, public: unbase64url((await crypto.subtle.exportKey("jwk", key)).x)};
}

export const exchangeKeys = (secret) => pair("X25519", secret, ["deriveBits"]);

// An Ed25519 identity and the X25519 key that goes with it (7.1). seed: 32 bytes.
export async function identity(seed) {
  const secret = new Uint8Array(await crypto.subtle.digest("SHA-512", seed)).slice(0, 32);
  secret[0] &= 248;
  secret[31] = secret[31] & 127 | 64;
  return {public: (await pair("Ed25519", seed, ["sign"])).public, exchange: await exchangeKeys(secret)};
}

// The X25519 key of an Ed25519 one: u = (1 + y) / (1 - y).
export function montgomery(edKey) {
  const y = big(edKey.slice().reverse()) & (1n << 255n) - 1n;
  let inverse = 1n, base = (1n - y + P) % P;
  for (let power = P - 2n; power; power >>= 1n, base = base * base % P) if (power & 1n) inverse = inverse * base % P;
  return unbig((1n + y) * inverse % P, 32).reverse();
}

async function exchange(mine, theirs) {
  const key = await crypto.subtle.importKey("raw", theirs, {name: "X25519"}, false, []);
  return new Uint8Array(await crypto.subtle.deriveBits({name: "X25519", public: key}, mine.key, 256));
}

export async function hmac(key, ...parts) {
  const handle = await crypto.subtle.importKey("raw", key, {name: "HMAC", hash: "SHA-256"}, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", handle, concat(...parts)));
}

async function hkdf(chain, material, count) {
  const secret = await hmac(chain, material), out = [];
  for (let i = 1; i <= count; i++) out.push(await hmac(secret, out[i - 2] || NONE, Uint8Array.of(i)));
  return out;
}

// The psk of a community (7.2). key: its 32 bytes.
export const pskOf = (key) => hmac(key, utf8("waypost session"));

// --- the handshake

// One direction: a key and a counter.
function direction(key) {
  let count = 0;
  const nonce = () => {
    const out = new DataView(new ArrayBuffer(12));
    out.setBigUint64(4, BigInt(count++), true);
    return new Uint8Array(out.buffer);
  };
  return {seal: (data, ad = NONE) => seal(key, nonce(), ad, data), open: (data, ad = NONE) => open(key, nonce(), ad, data)};
}

// The three messages of a handshake. me: of identity(); ephemeral: of exchangeKeys(); boot: 8 bytes; psk: 32 or null.
export async function handshake(me, ephemeral, boot, psk) {
  const name = utf8(`Noise_XX${psk ? "psk3" : ""}_25519_ChaChaPoly_SHA256`);
  let hash = name.length > 32 ? await sha256(name) : concat(name, new Uint8Array(32 - name.length));
  let chain = hash, cipher = null, remote = null;
  const mixHash = async (data) => { hash = await sha256(hash, data); };
  const mixKey = async (material) => {
    const [next, key] = await hkdf(chain, material, 2);
    chain = next;
    cipher = direction(key);
  };
  const mixEphemeral = async (key) => {
    await mixHash(key);
    if (psk) await mixKey(key);
  };
  const hide = async (data) => {
    const out = cipher ? cipher.seal(data, hash) : data;
    await mixHash(out);
    return out;
  };
  const show = async (data) => {
    const out = cipher.open(data, hash);
    await mixHash(data);
    return out;
  };
  await mixHash(PROLOGUE);
  return {
    // Message 1: e.
    async first() {
      await mixEphemeral(ephemeral.public);
      return concat(ephemeral.public, await hide(NONE));
    },

    // Message 2: e, ee, s, es. Gives the node's Ed25519 key.
    async second(message) {
      if (message.length < 32 + 48 + 57) throw new Error("noise: a message that is too short");
      remote = message.slice(0, 32);
      await mixEphemeral(remote);
      await mixKey(await exchange(ephemeral, remote));
      const fixed = await show(message.slice(32, 80));
      await mixKey(await exchange(ephemeral, fixed));
      const payload = await show(message.slice(80)), key = payload.slice(9, 41);
      if (payload.length < 41 || !same(montgomery(key), fixed)) throw new Error("noise: not the key that it says it has");
      return key;
    },

    // Message 3: s, se, psk. Gives it and what seals and opens the records from now on.
    async third() {
      const fixed = await hide(me.exchange.public);
      await mixKey(await exchange(me.exchange, remote));
      if (psk) {
        const [next, material, key] = await hkdf(chain, psk, 3);
        chain = next;
        await mixHash(material);
        cipher = direction(key);
      }
      const message = concat(fixed, await hide(concat([VERSION], boot, me.public)));
      const [out, back] = await hkdf(chain, NONE, 2);
      return {message, seal: direction(out).seal, open: direction(back).open};
    },
  };
}
