// A second implementation of docs/PROTOCOL.md, written from the document: plain node.js, no packages, nothing shared with
// the code. It checks docs/vectors.json (its one argument) and prints how many vectors of each list hold, as JSON.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const zlib = require('zlib');

const hex = (b) => Buffer.from(b).toString('hex');
const bin = (text) => Buffer.from(text, 'hex');
const sha256 = (...parts) => crypto.createHash('sha256').update(Buffer.concat(parts)).digest();
const hmac = (key, ...parts) => crypto.createHmac('sha256', key).update(Buffer.concat(parts)).digest();
const need = (ok, what) => { if (!ok) throw new Error(what); };
const equal = (a, b, what) => {
  const [left, right] = [JSON.stringify(a), JSON.stringify(b)];
  need(left === right, `${what}: ${left} is not ${right}`);
};
const keyObject = (prefix, key, make) =>
  make({ key: Buffer.concat([bin(prefix), key]), format: 'der', type: prefix.length > 24 ? 'pkcs8' : 'spki' });
const edPublic = (key) => keyObject('302a300506032b6570032100', key, crypto.createPublicKey);
const xPublic = (key) => keyObject('302a300506032b656e032100', key, crypto.createPublicKey);
const xSecret = (key) => keyObject('302e020100300506032b656e04220420', key, crypto.createPrivateKey);
const edBase = (seed) => crypto.createPublicKey(keyObject('302e020100300506032b657004220420', seed, crypto.createPrivateKey))
  .export({ format: 'der', type: 'spki' }).subarray(12);
const signedBy = (key, data, signature) => crypto.verify(null, data, edPublic(key), signature);
const x25519 = (secret, pub) => crypto.diffieHellman({ privateKey: xSecret(secret), publicKey: xPublic(pub) });
const xBase = (secret) => crypto.createPublicKey(xSecret(secret)).export({ format: 'der', type: 'spki' }).subarray(12);

// --- 2 CBOR: integers are BigInt, maps are Map
function head(kind, n) {
  n = BigInt(n);
  for (const [info, size, max] of [[24, 1, 0xffn], [25, 2, 0xffffn], [26, 4, 0xffffffffn], [27, 8, 0xffffffffffffffffn]]) {
    if (n < 24n) return Buffer.from([kind | Number(n)]);
    if (n <= max) return Buffer.concat([Buffer.from([kind | info]), bin(n.toString(16).padStart(2 * size, '0'))]);
  }
  throw new Error('too large');
}

function readHead(data, at) {
  need(at < data.length, 'truncated');
  const kind = data[at] & 0xe0, info = data[at] & 0x1f;
  if (info < 24) return [kind, BigInt(info), at + 1];
  need(info < 28, 'indefinite or reserved');
  const end = at + 1 + (1 << (info - 24));
  need(end <= data.length, 'truncated');
  const n = BigInt('0x' + hex(data.subarray(at + 1, end)));
  need(head(kind, n).equals(data.subarray(at, end)), 'not shortest');
  return [kind, n, end];
}

function item(data, at, depth = 0) {
  need(at < data.length, 'truncated');
  const simple = { 0xf4: false, 0xf5: true, 0xf6: null }[data[at]];
  if (simple !== undefined) return [simple, at + 1];
  need(data[at] < 0xc0, 'tag, float or simple');
  let [kind, n, next] = readHead(data, at);
  if (kind === 0x00) return [n, next];
  if (kind === 0x20) return [-1n - n, next];
  need(n <= BigInt(data.length - next), 'truncated');
  const end = next + Number(n);
  if (kind === 0x40) return [data.subarray(next, end), end];
  if (kind === 0x60) return [new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data.subarray(next, end)), end];
  need(depth < 8, 'too deep');
  let value, last = null;
  if (kind === 0x80) {
    const list = [];
    for (let i = 0; i < Number(n); i++) { [value, next] = item(data, next, depth + 1); list.push(value); }
    return [list, next];
  }
  const map = new Map();
  for (let i = 0; i < Number(n); i++) {
    need(next < data.length && [0x00, 0x60].includes(data[next] & 0xe0), 'bad key');
    let [key, behind] = item(data, next, depth + 1);
    const encoded = data.subarray(next, behind);
    need(!last || (Buffer.compare(last, encoded) < 0 && (last[0] & 0xe0) === (encoded[0] & 0xe0)), 'keys');
    last = encoded;
    [value, next] = item(data, behind, depth + 1);
    map.set(key, value);
  }
  return [map, next];
}

function decode(data) {
  const [value, end] = item(data, 0);
  need(end === data.length, 'trailing');
  return value;
}

function encode(value) {
  if (value === false) return bin('f4');
  if (value === true) return bin('f5');
  if (value === null) return bin('f6');
  if (typeof value === 'bigint') return value < 0n ? head(0x20, -1n - value) : head(0x00, value);
  if (typeof value === 'string') { const text = Buffer.from(value); return Buffer.concat([head(0x60, text.length), text]); }
  if (Buffer.isBuffer(value)) return Buffer.concat([head(0x40, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(0x80, value.length), ...value.map(encode)]);
  const pairs = [...value].map(([k, v]) => [encode(k), encode(v)]).sort((a, b) => Buffer.compare(a[0], b[0]));
  return Buffer.concat([head(0xa0, pairs.length), ...pairs.flat()]);
}

// --- 3 the message
const HEAD = bin('d284582aa301270319fde9045820');
const inRange = (n, low, high) => typeof n === 'bigint' && n >= low && n <= high;

function message(data) {
  need(data.length <= 16384 && data.subarray(0, 14).equals(HEAD) && data[46] === 0xa0, 'header');
  const author = data.subarray(14, 46);
  const [kind, n, at] = readHead(data, 47);
  const end = at + Number(n);
  need(kind === 0x40 && end + 66 === data.length && hex(data.subarray(end, end + 2)) === '5840', 'form');
  const payload = data.subarray(at, end);
  const f = decode(payload);
  need(f instanceof Map && f.size <= 23 && !f.has(0n) && [...f.keys()].every((k) => typeof k === 'bigint'), 'payload');
  need(inRange(f.get(1n), 1n, 0xffffffffn) && inRange(f.get(2n), 0n, 0xffffffffffffn), 'seq, hlc');
  need(inRange(f.get(3n), 1n, 31622400n) && inRange(f.get(4n), 0n, 3n) && inRange(f.get(5n), 0n, 65535n), 'ttl, lane, type');
  const dest = f.has(6n) ? f.get(6n) : null, body = f.get(7n);
  need(dest === null || (Buffer.isBuffer(dest) && dest.length === 32), 'dest');
  need(body instanceof Map && [...body.keys()].every((k) => typeof k === 'bigint') && encode(body).length <= 15872, 'body');
  const signed = Buffer.concat([bin('846a'), Buffer.from('Signature1'), data.subarray(2, 46), bin('40'), data.subarray(47, end)]);
  need(signedBy(author, signed, data.subarray(end + 2)), 'signature');
  const id = sha256(data).subarray(0, 16), hlc = f.get(2n);
  return {
    author: hex(author), seq: Number(f.get(1n)), hlc: Number(hlc), ttl_s: Number(f.get(3n)), lane: Number(f.get(4n)),
    type: Number(f.get(5n)), dest: dest && hex(dest), body: hex(encode(body)), payload: hex(payload), signed: hex(signed),
    id: hex(id), key: hlc.toString(16).padStart(12, '0') + hex(id.subarray(0, 10)),
    expires_s: Number((hlc >> 16n) + f.get(3n)), time_ms: Number((hlc * 1000n) >> 16n),
  };
}

// --- 5 frames
function varint(data, at) {
  let n = 0;
  for (let i = 0; i < 3; i++) {
    need(at + i < data.length, 'truncated');
    n |= (data[at + i] & 127) << (7 * i);
    if (data[at + i] < 128) { need(i === 0 || data[at + i] !== 0, 'varint'); return [n, at + i + 1]; }
  }
  throw new Error('varint');
}

function messages(frame) {
  const out = [];
  for (let at = 1; at < frame.length;) {
    const author = frame.subarray(at, at + 32);
    let [n, next] = varint(frame, at + 32), length;
    need(n >= 1 && out.length + n <= 64, 'count');
    for (at = next; n > 0; n--) {
      [length, next] = varint(frame, at);
      at = next + length + 64;
      need(at <= frame.length, 'truncated');
      const payload = frame.subarray(next, next + length);
      out.push(Buffer.concat([HEAD, author, bin('a0'), head(0x40, length), payload, bin('5840'), frame.subarray(next + length, at)]));
    }
  }
  need(out.length, 'empty');
  return out;
}

const cut = (data, size) => Array.from({ length: data.length / size }, (_, i) => data.subarray(i * size, i * size + size));
const digests = (list) => list.map(([lane, count, fp]) => [Number(lane), Number(count), hex(fp)]);

function frame(data) {
  const value = [2, 8, 9].includes(data[0]) ? null : decode(data.subarray(1));
  switch (data[0]) {
    case 1: return {
      versions: value.get(1n).map(Number), node: hex(value.get(2n)), hlc: Number(value.get(3n)), quality: Number(value.get(4n)),
      lanes: Number(value.get(5n)), label: value.get(6n), digests: digests(value.get(7n)), features: Number(value.get(8n)) };
    case 2: return { messages: messages(data).map(hex) };
    case 3: return { lane: Number(value[0]), ranges: value[1].map(([hi, mode, v]) => [hex(hi), Number(mode), Array.isArray(v) ? [Number(v[0]), hex(v[1])] : hex(v)]) };
    case 4: return { lane: Number(value[0]), count: Number(value[1]), sketch: hex(value[2]) };
    case 5: return { lane: Number(value[0]), keys: cut(value[1], 16).map(hex) };
    case 6: return { lane: Number(value[0]), shorts: cut(value[1], 4).map((b) => b.readUInt32LE()) };
    case 7: return { hlc: Number(value[0]), quality: Number(value[1]), digests: digests(value[2]) };
    case 8: return { payload: hex(data.subarray(1)) };
    default: throw new Error('kind');
  }
}

// --- 6 reconciliation; keys are hexadecimal strings, whose order is that of the bytes
function fp8(keys) {
  const sum = keys.reduce((a, k) => a + BigInt('0x' + k), 0n) & ((1n << 128n) - 1n);
  return hex(sha256(bin(keys.length.toString(16).padStart(16, '0')), bin(sum.toString(16).padStart(32, '0'))).subarray(0, 8));
}

function times(a, b) { // GF(2^32)
  let product = 0n;
  for (let i = 0n; i < 32n; i++) if ((b >> i) & 1n) product ^= a << i;
  for (let i = 63n; i >= 32n; i--) if ((product >> i) & 1n) product ^= 0x10000008dn << (i - 32n);
  return product;
}

function sketch(shorts, capacity) {
  const sums = Array(capacity).fill(0n);
  for (const e of shorts.map(BigInt)) {
    for (let i = 0, power = e; i < capacity; i++, power = times(times(power, e), e)) sums[i] ^= power;
  }
  return sums.map((s) => { const b = Buffer.alloc(4); b.writeUInt32LE(Number(s)); return hex(b); }).join('');
}

function round(v) {
  const sent = { alice: [], bob: [] }, wanted = { alice: [], bob: [] };
  for (const { from, data } of v.dialog) {
    const to = from === 'alice' ? 'bob' : 'alice';
    let lo = '';
    const { lane, ranges } = frame(bin(data));
    equal(lane, v.lane, 'lane');
    for (const [hi, mode, value] of ranges) {
      need(hi === '' || hi > lo, 'order');
      const inside = (k) => k >= lo && (hi === '' || k < hi);
      const [theirs, ours] = [v[from].filter(inside), v[to].filter(inside)];
      if (mode === 1) equal(value, [theirs.length, fp8(theirs)], 'fingerprint');
      if (mode === 2) equal(value, theirs.join(''), 'list');
      if (mode === 2 || (mode === 1 && value[0] === 0)) {
        sent[to].push(...ours.filter((k) => !theirs.includes(k)));
        wanted[to].push(...theirs.filter((k) => !ours.includes(k)));
      }
      lo = hi;
    }
  }
  equal([sent, wanted], [v.pushed, v.wanted], 'differences');
  const union = (name, other) => [...new Set([...v[name], ...wanted[name], ...sent[other]])].sort();
  equal(union('alice', 'bob'), union('bob', 'alice'), 'after the round');
}

// --- 7.3 a session, from the fixed secrets of both sides
const purpose = (key, name) => hmac(key, Buffer.from('waypost ' + name));

function session(v, keys) {
  const psk = v.community_key && purpose(bin(v.community_key), 'session');
  const name = Buffer.from(`Noise_XX${psk ? 'psk3' : ''}_25519_ChaChaPoly_SHA256`);
  let h = name.length <= 32 ? Buffer.concat([name, Buffer.alloc(32 - name.length)]) : sha256(name);
  let ck = h, k = null, n = 0n;
  const seal = (key, count, plain, ad, open) => {
    const nonce = Buffer.alloc(12);
    nonce.writeBigUInt64LE(count, 4);
    const c = (open ? crypto.createDecipheriv : crypto.createCipheriv)('chacha20-poly1305', key, nonce, { authTagLength: 16 });
    c.setAAD(ad);
    if (!open) { const out = c.update(plain); c.final(); return Buffer.concat([out, c.getAuthTag()]); }
    c.setAuthTag(plain.subarray(-16));
    const out = c.update(plain.subarray(0, -16));
    c.final(); // throws unless the tag is right
    return out;
  };
  const mixHash = (data) => { h = sha256(h, data); };
  const hkdf = (material, count) => {
    const temp = hmac(ck, material), out = [hmac(temp, bin('01'))];
    for (let i = 2; i <= count; i++) out.push(hmac(temp, out[i - 2], Buffer.from([i])));
    return out;
  };
  const mixKey = (material) => { [ck, k] = hkdf(material, 2); n = 0n; };
  const open = (data) => { const out = k ? seal(k, n++, data, h, true) : data; mixHash(data); return out; };
  const [seedI, seedR] = [v.initiator_seed, v.responder_seed].map((s) => keys.find((row) => row.seed === s));
  const ephemerals = v.ephemerals.map(bin);
  mixHash(Buffer.from('waypost link 1'));
  const e = (data) => { const pub = data.subarray(0, 32); mixHash(pub); if (psk) mixKey(pub); return pub; };
  const check = (payload, row, boot) => equal(hex(payload), '01' + boot + row.ed25519, 'handshake payload');
  const [one, two, three] = v.handshake.map(bin);
  const ei = e(one);
  equal(hex(open(one.subarray(32))), '', 'message 1');
  equal(hex(ei), hex(xBase(ephemerals[0])), 'e');
  const er = e(two);
  mixKey(x25519(ephemerals[0], er)); // ee, as the initiator
  const sr = open(two.subarray(32, 80));
  equal(hex(sr), seedR.x25519, 'static key of the responder');
  mixKey(x25519(ephemerals[0], sr)); // es
  check(open(two.subarray(80)), seedR, v.boots[1]);
  const si = open(three.subarray(0, 48));
  equal(hex(si), seedI.x25519, 'static key of the initiator');
  mixKey(x25519(ephemerals[1], si)); // se, as the responder
  if (psk) { let t; [ck, t, k] = hkdf(psk, 3); mixHash(t); n = 0n; }
  check(open(three.subarray(48)), seedI, v.boots[0]);
  const [send, receive] = hkdf(Buffer.alloc(0), 2);
  v.plaintexts.forEach((plain, i) => {
    for (const [key, sent] of [[send, v.initiator_sends[i]], [receive, v.responder_sends[i]]]) {
      const record = seal(key, BigInt(i), bin(plain), Buffer.alloc(0), false);
      equal(sent, record.length.toString(16).padStart(4, '0') + hex(record), 'record');
    }
  });
}

// --- 8, 10, 11
function announce(v) {
  const d = bin(v.data), mac = v.community_key ? 8 : 0, at = d.length - 64;
  equal([d.subarray(0, 2).toString(), d[2], d.length], ['WP', 1, 130 + mac], 'form');
  equal([d[3], hex(d.subarray(4, 36)), d.readUInt16BE(36), hex(d.subarray(38, 46)), d.readUInt32BE(46), hex(d.subarray(50, 58)),
    hex(d.subarray(58, 66))], [v.flags, v.node, v.port, v.boot, v.counter, v.ask, v.echo], 'fields');
  if (mac) equal(hex(d.subarray(66, 74)), hex(hmac(purpose(bin(v.community_key), 'announce'), d.subarray(0, 66)).subarray(0, 8)), 'mac');
  need(signedBy(d.subarray(4, 36), d.subarray(0, at), d.subarray(at)), 'signature');
}

function courier(v) {
  const data = bin(v.data);
  let [first, at] = item(data, 0), value, start, count = 0;
  equal([first.get(1n), Number(first.get(2n)), Number(first.get(3n) >> 16n), hex(first.get(4n))], ['waypost courier', 1, v.written_s, v.node], 'head');
  for (;;) {
    start = at;
    [value, at] = item(data, at);
    if (value instanceof Map) break;
    for (const one of messages(value)) { message(one); count++; }
  }
  equal([Number(value.get(1n)), hex(value.get(2n)), at, count], [v.messages, hex(sha256(data.subarray(0, start))), data.length, v.messages], 'tail');
}

function datagram(v) {
  const key = bin(v.community_key);
  if (v.key) equal(hex(purpose(key, v.name)), v.key, 'purpose key');
  else equal(v.data, v.frame + hex(hmac(purpose(key, 'datagram'), bin(v.frame)).subarray(0, 8)), 'datagram');
}

function fragments(v) {
  const parts = v.fragments.map(bin), whole = Buffer.concat([...parts].sort((a, b) => a[3] - b[3]).map((p) => p.subarray(6)));
  parts.forEach((p, i) => equal([p[0], p[3], p[4], p[5], p.length <= v.mtu_bytes], [9, i, parts.length, sha256(whole)[0], true], 'fragment'));
  equal(hex(whole), v.frame, 'frame');
}

function sketches(v) {
  const [low, high] = v.nodes.map(bin).sort(Buffer.compare);
  const salt = sha256(Buffer.from('waypost short id'), low, high).subarray(0, 4);
  equal(hex(salt), v.salt, 'salt');
  for (const set of v.sets) {
    equal(set.keys.map((k) => sha256(salt, bin(k)).readUInt32LE() || 1), set.shorts, 'short ids');
    equal(sketch(set.shorts, v.capacity), set.sketch, 'sketch');
  }
  const [a, b] = v.sets.map((set) => set.shorts);
  const differ = [...a.filter((s) => !b.includes(s)), ...b.filter((s) => !a.includes(s))].sort((x, y) => x - y);
  equal([differ, sketch(differ, v.capacity)], [v.differ, v.merged], 'difference');
}

// --- 15 radio
const WINDOWS = [
  0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d, 0x8f, 0x90,
  0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178];
const HOURS = [0, 0.25, 1, 3, 6, 12, 24, 48, 72, 168, 336, 720, 2160, 8760, 8784];
const CODES = [null, [2, 1, 0], [1, 2, 1], [1, 2, 2], [1, 3, 1], [1, 3, 2], [0, 4, 0], [0, 5, 0], [1, 5, 0], [2, 5, 0], [3, 5, 0]];
const PUBLIC = Buffer.from('waypost beacon without a community key');
const uint = (data) => BigInt('0x' + hex(data));
const radioKey = (v, name) => (v.community_key ? purpose(bin(v.community_key), name) : PUBLIC);

function letters(data, page) {
  const parts = [''];
  for (let at = 0; at < data.length;) {
    let code = data[at++];
    if (code === 0x1a) {
      need(at + 3 <= data.length, 'escape');
      code = data.readUIntBE(at, 3);
      at += 3;
      need(code < 0xd800 || (code >= 0xe000 && code <= 0x10ffff), 'code point');
    } else if (code === 0) { need(parts.push('') === 2, 'names'); continue; } else if (code >= 0x80) {
      code = page === null ? (code < 0xa0 ? WINDOWS[code - 0x80] : code) : page * 128 + code - 0x80;
    }
    parts[parts.length - 1] += String.fromCodePoint(code);
  }
  return encode(new Map(parts.map((text, i) => [BigInt(i + 1), text])));
}

function radioBody(form, data) {
  if (form >= 8 && form <= 11) {
    form -= 8;
    data = zlib.inflateRawSync(data, { dictionary: bin(vectors.dictionary[0].data), windowBits: 13, maxOutputLength: 4352 });
  }
  const zero = data.indexOf(0);
  switch (form) {
    case 0: return data;
    case 1: return letters(data, null);
    case 2: return letters(data.subarray(1), data[0]);
    case 3: return encode(new Map((zero < 0 ? [data] : [data.subarray(0, zero), data.subarray(zero + 1)]).map((t, i) => [BigInt(i + 1), t.toString()])));
    case 4: return encode(new Map([[3n, data]]));
    case 5: need(data.length === 16, 'id'); return encode(new Map([[1n, data], [2n, 1n]]));
    default: throw new Error('form');
  }
}

function onair(data, known) {
  let at = 2;
  const end = data.length - 64;
  const take = (n) => { at += n; need(at <= end, 'size'); return data.subarray(at - n, at); };
  const key = (whole) => {
    if (whole) return take(32);
    const ref = hex(take(5)), found = known.map(bin).filter((k) => hex(sha256(k)).startsWith(ref));
    need(found.length === 1, 'unknown');
    return found[0];
  };
  const code = data[0] & 15, ttlCode = data[1] >> 4, form = data[1] & 15, whole = data[0] & 16;
  const message = (author, payload) => Buffer.concat(
    [HEAD, author, bin('a0'), head(0x40, payload.length), payload, bin('5840'), data.subarray(end)]);
  need(data[0] >= 0x80 && end > 2, 'kind');
  if (code === 15) { const author = key(whole); return message(author, radioBody(form, data.subarray(at, end))); }
  need(code < CODES.length, 'code');
  let [lane, type, dest] = CODES[code] || [];
  if (code === 0) { const first = take(1)[0]; [lane, dest, type] = [first & 3, first >> 2, Number(uint(take(2)))]; need(dest < 3, 'dest'); }
  const author = key(whole), fields = new Map();
  fields.set(1n, uint(take(((data[0] >> 5) & 3) + 1)));
  fields.set(2n, uint(take(6)));
  fields.set(3n, ttlCode === 0 ? uint(take(3)) : ttlCode === 15 ? uint(take(4)) : BigInt(HOURS[ttlCode] * 3600));
  fields.set(4n, BigInt(lane)).set(5n, BigInt(type));
  if (dest) fields.set(6n, key(dest === 2));
  fields.set(7n, decode(radioBody(form, data.subarray(at, end))));
  return message(author, encode(fields));
}

function untagged(v, data) {
  if (!v.community_key) return data;
  const at = data.length - 4;
  equal(hex(data.subarray(at)), hex(hmac(radioKey(v, 'radio'), data.subarray(0, at)).subarray(0, 4)), 'tag');
  return data.subarray(0, at);
}

function beacon(v) {
  const d = bin(v.data), rest = d.subarray(32);
  equal([d.subarray(0, 4).toString(), d.readUInt32BE(4), hex(d.subarray(8, 16)), d[16], d.readUInt32BE(17), d[21], d[22], d[23]],
    ['HN01', v.sequence, v.node, v.flags, v.time_s, (v.quality << 4) | (v.reach << 2) | v.condition, v.queue, v.battery], 'fields');
  equal(hex(sha256(bin(v.key)).subarray(0, 8)), v.node, 'node');
  equal(hex(d.subarray(24, 32)), hex(hmac(radioKey(v, 'beacon'), d.subarray(0, 24), rest).subarray(0, 8)), 'mac');
  const epoch = Buffer.from([v.time_s >>> 24, (v.time_s >>> 16) & 255]);
  const salt = hmac(radioKey(v, 'radio'), Buffer.from('epoch'), epoch).subarray(0, 4);
  equal(hex(salt), v.salt, 'salt');
  const sets = [];
  let at = 1;
  for (let lane = 0; lane < 4; lane++) {
    if (!((rest[0] >> lane) & 1)) continue;
    const start = at, c = (rest[0] >> (4 + lane)) & 1 ? rest[at + 3] : 0;
    at += c ? 4 + 4 * c : 3;
    sets.push([lane, rest[start], hex(rest.subarray(start + 1, start + 3)), c ? hex(rest.subarray(start + 4, at)) : '']);
  }
  equal([at, sets], [rest.length, v.sets], 'sets');
  const [, , digest, sums] = sets[2];
  equal(digest, hex(sha256(salt, bin(fp8(v.keys))).subarray(0, 2)), 'digest');
  equal(sums, sketch(v.keys.map((k) => sha256(salt, bin(k)).readUInt32LE() || 1), sums.length / 8), 'sketch');
}

function ask(v) {
  const d = untagged(v, bin(v.data));
  equal([d[0], d[1] & 15, d[1] >> 4, hex(d.subarray(2, 7)), cut(d.subarray(7), 4).map((b) => b.readUInt32LE())],
    [12, v.lane, v.epoch, v.to, v.shorts], 'ask');
}

function window_(v) {
  const d = untagged(v, bin(v.data)), epoch = d.subarray(2, 4);
  equal([d[0], d[1], d.readUInt16BE(2), hex(d.subarray(4, 9)), d.readUInt32BE(9), d.readUInt32BE(13), d[17], hex(d.subarray(18))],
    [13, v.lane, v.epoch, v.from, v.since_s, v.until_s, v.count, v.sketch], 'window');
  const salt = hmac(radioKey(v, 'radio'), Buffer.from('epoch'), epoch).subarray(0, 4);
  equal(v.sketch, sketch(v.keys.map((k) => sha256(salt, bin(k)).readUInt32LE() || 1), v.sketch.length / 8), 'sketch');
}

function probe(v) {
  for (const [kind, data, node, size] of [[14, v.probe, v.prober, 14], [15, v.echo, v.echoer, 17]]) {
    const d = untagged(v, bin(data));
    equal([d[0], hex(d.subarray(1, 5)), d[5], hex(d.subarray(6, 14)), d.length], [kind, v.nonce, v.n, node, size], 'probe');
    if (kind === 15) {
      equal([d[14] === 255 ? null : d[14], d[15] ? -d[15] : null, d.readInt8(16) === -128 ? null : d.readInt8(16)],
        [v.hops, v.rssi_dbm, v.snr_qdb], 'echo');
    }
  }
}

function gf(a, b) { // GF(256)
  let product = 0;
  for (let i = 0; i < 8; i++) if ((b >> i) & 1) product ^= a << i;
  for (let i = 14; i >= 8; i--) if ((product >> i) & 1) product ^= 0x11d << (i - 8);
  return product;
}
const inverse = (a) => { for (let b = 1; ; b++) if (gf(a, b) === 1) return b; };

function object(v) {
  const pieces = v.pieces.map((p) => untagged(v, bin(p))), size = pieces[0].length - 7, rows = [];
  pieces.forEach((p, i) => equal([p[0], hex(p.subarray(1, 5)), p[5], p[6], p.length], [10, v.id, v.k, i, size + 7], 'piece'));
  for (const p of pieces.filter((_, i) => !v.lost.includes(i)).slice(0, v.k)) { // each is an equation; Gauss and Jordan
    const i = p[6], row = Array.from({ length: v.k }, (_, j) => (i < v.k ? Number(i === j) : inverse(i ^ j)));
    rows.push([...row, ...p.subarray(7)]);
  }
  for (let j = 0; j < v.k; j++) {
    const pivot = rows.splice(rows.findIndex((row, i) => i >= j && row[j]), 1)[0], scale = inverse(pivot[j]);
    rows.splice(j, 0, pivot.map((x) => gf(x, scale)));
    rows.forEach((row, i) => { if (i !== j && row[j]) { const f = row[j]; rows[i] = row.map((x, n) => x ^ gf(f, rows[j][n])); } });
  }
  const stream = Buffer.from(rows.flatMap((row) => row.slice(v.k)));
  equal(hex(stream.subarray(2, 2 + stream.readUInt16BE())), v.object, 'object');
  equal(hex(sha256(bin(v.object)).subarray(0, 4)), v.id, 'id');
  equal(hex(untagged(v, bin(v.need))), '0b' + v.id + '03', 'need');
}

const refused = (check) => { try { check(); } catch { return; } throw new Error('accepted'); };
const only = (value, like) => Object.fromEntries(Object.keys(like).map((k) => [k, value[k]]));
const vectors = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
// --- 16 Bluetooth LE
function bleInfo(v) {
  const [map, end] = item(bin(v.data), 0);
  equal(end, bin(v.data).length, 'length');
  equal(map.get(1n).map(Number), v.versions, 'versions');
  equal(hex(map.get(2n)), v.key, 'key');
  equal([3n, 4n, 5n].map((n) => Number(map.get(n))), [v.record_bytes_max, v.window_bytes, v.features], 'limits');
}

function bleFragments(v) {
  const records = [];
  let left = 0, record = [], sent = 0, taken = null;
  v.values.map(bin).forEach((value, number) => {
    need(value.length >= 2 && value.length <= v.room_bytes, 'size');
    equal(value[0] & 0x3f, number % 64, 'number');
    let at = 1;
    if (value[0] & 0x80) {
      let length = 0;
      for (let shift = 0; ; shift += 7) {
        length |= (value[at] & 0x7f) << shift;
        if (!(value[at++] & 0x80)) break;
      }
      if (!length) { taken = value.readUInt32BE(at); need(value[0] & 0x40 && value.length === 6, 'credit'); return; }
      left = length;
    }
    sent += value.length;
    left -= value.length - at;
    record.push(value.subarray(at));
    equal(left === 0, Boolean(value[0] & 0x40), 'last');
    if (left === 0) { records.push(hex(Buffer.concat(record))); record = []; }
  });
  equal([records, sent, taken], [v.records, v.sent, v.taken], 'records');
}

function bleBeacon(v) {
  const key = v.community_key ? purpose(bin(v.community_key), 'ble') : Buffer.from('waypost ble without a community key');
  const d = bin(v.data);
  equal(hex(sha256(bin(v.key)).subarray(0, 2)), v.node, 'node');
  equal([hex(d.subarray(1, 3)), d[0] >> 6, d[0] >> 4 & 3, Boolean(d[0] & 8), d[3]],
    [v.node, 1, v.condition, v.full, v.digest], 'fields');
  equal(hmac(key, d.subarray(1, 3), bin(v.fp8s))[0], v.digest, 'digest');
  equal(hex(d.subarray(4)), hex(hmac(key, d.subarray(0, 4)).subarray(0, 2)), 'mac');
}

// --- 17 what stewards sign
function paper(data, types) {
  need(hex(data.subarray(0, 2)) === 'd862', 'tag');
  const parts = decode(data.subarray(2));
  need(Array.isArray(parts) && parts.length === 4 && parts[1] instanceof Map && parts[1].size === 0, 'form');
  const type = Number(decode(parts[0]).get(3n));
  need(types.includes(type) && hex(parts[0]) === hex(encode(new Map([[3n, BigInt(type)]]))), 'content type');
  need(parts[3].length >= 1 && parts[3].length <= 16, 'signatures');
  let last = '';
  const signatures = parts[3].map(([protectedHeader, header, signature]) => {
    const kid = hex(header.get(4n));
    need(hex(protectedHeader) === 'a10127' && header.size === 1 && kid.length === 16 && kid > last, 'signature');
    last = kid;
    return [kid, signature];
  });
  const text = Buffer.from('Signature');
  const signed = encode(['Signature', parts[0], bin('a10127'), Buffer.alloc(0), parts[2]]);
  need(hex(signed.subarray(0, 11)) === '8569' + hex(text), 'Sig_structure');
  const by = (keys) => keys.filter((key) => signatures.some(([kid, s]) => key.startsWith(kid) && signedBy(bin(key), signed, s)));
  return { type, payload: parts[2], by };
}

function certificate(v) {
  const { payload, by } = paper(bin(v.data), [65002]);
  const claims = decode(payload);
  equal(claims.get(3n), v.community, 'community');
  need(claims.get(8n).get(3n).length === 32 && typeof claims.get(9n) === 'string', 'claims');
  need(by(v.stewards).length >= v.needed, 'signatures');
}

// --- 18 alerts
const WORDS = [5, 5, 5, 12, 10, 5]; // of each code
function circle(data) {
  need(data.length === 8, 'circle');
  const whole = (part, span) => Number((BigInt(part) * BigInt(span) * 1000000n + (1n << 23n)) >> 24n) - span / 2 * 1000000;
  const radius = data.readUInt16BE(6);
  return [whole(data.readUIntBE(0, 3), 180), whole(data.readUIntBE(3, 3), 360),
    radius & 0x8000 ? (radius & 0x7fff) * 1000 : radius * 10];
}

function alertBody(data) {
  const b = decode(data), text = (key, most) => {
    const value = b.has(key) ? b.get(key) : '';
    need(typeof value === 'string' && Buffer.from(value).length <= most, 'text');
    return value;
  };
  if (b.has(12n)) { need(b.get(12n).length === 8 && b.get(13n) instanceof Map, 'details'); return {}; }
  const codes = (b.get(3n) || []).map(Number);
  while (codes.length < 6) codes.push(0);
  need(codes.every((n, i) => i >= 6 || n < WORDS[i]), 'codes');
  need(!b.has(4n) || typeof b.get(4n) === 'bigint', 'onset');
  const [kind, ...references] = b.get(8n) || [0n];
  need(kind < 3n && references.every((id) => id.length === 8) && (references.length > 0) === (kind > 0n), 'references');
  need(!b.has(10n) || b.get(10n).length === 6, 'cap');
  need(b.get(1n) || kind === 2n, 'headline');
  return {
    headline: text(1n, 160), issuer: text(2n, 64), codes: codes.slice(0, 6),
    onset_s: b.has(4n) ? Number(b.get(4n)) : null,
    areas: (b.get(5n) || []).map((area) => typeof area === 'string' ? area : circle(area)),
    instruction: text(6n, 2048), language: text(7n, 64), kind: Number(kind), references: references.map(hex),
    official: b.get(9n) === 1n, cap: b.has(10n) ? hex(b.get(10n)) : null, event: text(11n, 64) };
}

function aPlace(v) {
  const part = (micro, span) => BigInt(Math.min(Number(((BigInt(micro + span / 2 * 1000000) << 24n) + BigInt(span) * 500000n)
    / (BigInt(span) * 1000000n)), 2 ** 24 - 1)).toString(16).padStart(6, '0');
  const wide = v.radius_m;
  const radius = wide <= 327670 ? Math.ceil(wide / 10) : 0x8000 | Math.min(Math.ceil(wide / 1000), 0x7fff);
  equal(part(v.lat, 180) + part(v.lon, 360) + radius.toString(16).padStart(4, '0'), v.circle, 'circle');
  equal(circle(bin(v.circle)), v.read, 'read');
  const bounds = [[-180, 180], [-90, 90]], at = [v.lon / 1e6, v.lat / 1e6];
  let bits = 0n;
  for (let i = 0; i < 40; i++) {
    const [low, high] = bounds[i % 2], middle = (low + high) / 2, upper = at[i % 2] >= middle;
    bounds[i % 2] = upper ? [middle, high] : [low, middle];
    bits = bits << 1n | BigInt(upper);
  }
  const letters = Array.from({ length: 8 }, (_, i) => '0123456789bcdefghjkmnpqrstuvwxyz'[Number(bits >> BigInt(35 - 5 * i) & 31n)]);
  equal(letters.join(''), v.geohash, 'geohash');
}

// --- 19 check-ins
function mail(v) {
  const b = decode(bin(v.body)), told = (n) => (b.has(n) ? hex(b.get(n)) : null);
  equal([b.get(1n) || null, b.get(2n) || '', told(4n), told(5n), b.has(6n) ? cut(b.get(6n), 16).map(hex) : null],
    [v.text, v.name, v.to, v.from, v.delivered], 'mail');
}

function checkin(v) {
  const b = decode(bin(v.body)), name = b.get(1n);
  const plain = name.replace(/[A-Z\u00c0-\u00d6\u00d8-\u00de\u0391-\u03a9\u0400-\u042f]/g, (c) => c.toLowerCase())
    .replace(/[\x00-\x2f\x3a-\x60\x7b-\u00bf\u2000-\u206f\u3000-\u303f]+/g, ' ').trim();
  equal([name, Number(b.get(2n)), b.get(3n) || '', b.get(4n) || '', plain], [v.name, v.state, v.note, v.where, v.plain], 'checkin');
}

const checks = {
  keys: (v) => {
    const half = crypto.createHash('sha512').update(bin(v.seed)).digest().subarray(0, 32);
    half[0] &= 248; half[31] = (half[31] & 127) | 64; // clamped
    equal([hex(edBase(bin(v.seed))), hex(half), hex(xBase(half))], [v.ed25519, v.x25519_secret, v.x25519], 'key');
  },
  cbor: (v) => equal(hex(encode(decode(bin(v.hex)))), v.hex, 'again'),
  cbor_refused: (v) => refused(() => decode(bin(v.hex))),
  messages: (v) => { const m = message(bin(v.data)); equal(m, only(v, m), 'message'); },
  messages_refused: (v) => refused(() => message(bin(v.data))),
  time: (v) => equal([Number(BigInt(v.hlc) >> 16n), Number((BigInt(v.hlc) * 1000n) >> 16n)], [v.unix_s, v.unix_ms], 'time'),
  frames: (v) => { const f = frame(bin(v.data)); equal(f, only(v, f), 'frame'); },
  fragments, fingerprints: (v) => equal([v.keys.length, fp8(v.keys)], [v.count, v.fp8], 'fingerprint'),
  reconciliation: round, sketches, sessions: (v) => session(v, vectors.keys), community: datagram, announces: announce,
  bus: (v) => { const value = decode(bin(frame(bin(v.data)).payload)); need(value[0] >= 1n && value[0] <= 8n, 'bus'); },
  courier,
  dictionary: (v) => equal([hex(sha256(bin(v.data))), v.data.length], [v.sha256, 5632], 'dictionary'),
  onair: (v) => { const whole = onair(bin(v.data), v.known); message(whole); equal(hex(whole), v.message, 'message'); },
  onair_refused: (v) => refused(() => onair(bin(v.data), v.known)),
  beacons: beacon, asks: ask, windows: window_, probes: probe, objects: object,
  papers: (v) => {
    const { type, payload, by } = paper(bin(v.data), [65002, 65003]);
    const all = vectors.keys.map((row) => row.ed25519).concat(v.signers);
    equal([type, hex(payload), by(v.signers)], [v.content_type, v.payload, v.signers], 'paper');
    equal(by([...new Set(all)]).sort(), [...v.signers].sort(), 'signers');
  },
  papers_refused: (v) => refused(() => certificate(v)),
  alerts: (v) => { const a = alertBody(bin(v.body)); equal(a, only(v, a), 'alert'); },
  alerts_refused: (v) => refused(() => alertBody(bin(v.body))),
  places: aPlace, checkins: checkin, mails: mail,
  ble_info: bleInfo, ble_fragments: bleFragments, ble_beacons: bleBeacon,
};
const held = {};
for (const [list, rows] of Object.entries(vectors)) {
  if (!Array.isArray(rows)) continue;
  held[list] = 0;
  for (const v of rows) {
    try { checks[list](v); } catch (error) { console.error(`${list}, ${v.name || v.hex || v.section}: ${error.message}`); process.exit(1); }
    held[list]++;
  }
}
console.log(JSON.stringify(held));
