// The page's own implementation of the protocol against docs/vectors.json; run in the browser by test_phone.py. Gives how
// many vectors of each list were checked, or throws at the first that does not hold.
import {concat, hex, unhex, same} from "/bytes.js";
import {decode, encode} from "/cbor.js";
import {open, seal} from "/chacha.js";
import {Joiner, Splitter} from "/fragments.js";
import {readInfo} from "/link.js";
import {Frames, fingerprint, packMessages, read, splitFrame, unpackMessages} from "/messages.js";
import {exchangeKeys, handshake, identity, montgomery, pskOf} from "/noise.js";

function need(ok, what) {
  if (!ok) throw new Error("vector: " + what);
}

const equal = (bytes, text, what) => need(hex(bytes) === text, `${what}: ${hex(bytes)} is not ${text}`);

async function refused(work, what) {
  let value;
  try {
    value = await work();
  } catch (error) {
    return;
  }
  need(value === false, what + " was taken");
}

const CHECKS = {
  async keys(v) {
    const me = await identity(unhex(v.seed));
    equal(me.public, v.ed25519, v.name);
    equal(me.exchange.public, v.x25519, v.name);
    equal(montgomery(me.public), v.x25519, v.name);
  },
  async cbor(v) {
    equal(encode(decode(unhex(v.hex))), v.hex, v.hex);
  },
  async cbor_refused(v) {
    await refused(() => decode(unhex(v.hex)), v.hex);
  },
  async messages(v) {
    const data = unhex(v.data), message = await read(data);
    equal(message.id, v.id, v.name);
    equal(message.key, v.key, v.name);
    equal(message.author, v.author, v.name);
    need(message.seq === v.seq && message.hlc === v.hlc && message.ttl_s === v.ttl_s, v.name);
    need(message.lane === v.lane && message.type === v.type && message.expires_s === v.expires_s, v.name);
    need(v.dest === null ? message.dest === undefined : hex(message.dest) === v.dest, v.name);
    need(await message.isGood(), v.name);
    equal(unpackMessages(packMessages([data]))[0], v.data, v.name);
  },
  async messages_refused(v) {
    await refused(async () => (await read(unhex(v.data))).isGood(), v.name);
  },
  async frames(v) {
    const data = unhex(v.data);
    if (v.name === "MESSAGES") {
      const whole = unpackMessages(data);
      need(whole.length === v.messages.length && whole.every((one, i) => hex(one) === v.messages[i]), v.name);
    } else if (v.name !== "FRAGMENT") {
      equal(encode(decode(data.subarray(1))), v.data.slice(2), v.name);
    }
  },
  async fragments(v) {
    const id = parseInt(v.fragments[0].slice(2, 6), 16), pieces = await splitFrame(unhex(v.frame), id, v.mtu_bytes);
    need(pieces.length === v.fragments.length && pieces.every((one, i) => hex(one) === v.fragments[i]), "split");
    const frames = new Frames();
    let whole = null;
    for (const piece of pieces.reverse()) whole = await frames.add(piece) || whole;
    equal(whole, v.frame, "put together");
  },
  async fingerprints(v) {
    const [count, fp8] = await fingerprint(v.keys.map(unhex));
    need(count === v.count, "count");
    equal(fp8, v.fp8, "fp8");
  },
  async sessions(v) {
    const me = await identity(unhex(v.initiator_seed)), [first, second, third] = v.handshake;
    const psk = v.community_key && await pskOf(unhex(v.community_key));
    const shake = await handshake(me, await exchangeKeys(unhex(v.ephemerals[0])), unhex(v.boots[0]), psk);
    equal(await shake.first(), first, "message 1");
    equal(await shake.second(unhex(second)), hex((await identity(unhex(v.responder_seed))).public), "its key");
    const session = await shake.third();
    equal(session.message, third, "message 3");
    v.plaintexts.forEach((plain, i) => { // on TCP, with the length before each record
      equal(session.seal(unhex(plain)), v.initiator_sends[i].slice(4), "a record out");
      equal(session.open(unhex(v.responder_sends[i].slice(4))), plain, "a record in");
    });
  },
  async ble_info(v) {
    const info = readInfo(unhex(v.data));
    equal(info.key, v.key, "key");
    need(info.recordBytesMax === v.record_bytes_max && info.windowBytes === v.window_bytes, "numbers");
    need(info.isClosed === !!(v.features & 1) && info.hasPage === !!(v.features & 2), "features");
  },
  async ble_fragments(v) {
    const splitter = new Splitter(), joiner = new Joiner(5000), records = [];
    const values = [];
    for (const record of v.records) {
      for (const value of splitter.split(unhex(record), v.room_bytes)) {
        values.push(value);
        if (/^..00/.test(v.values[values.length])) values.push(splitter.credit(v.taken));
      }
    }
    need(values.length === v.values.length && values.every((value, i) => hex(value) === v.values[i]), "split");
    need(splitter.sent === v.sent, "sent");
    for (const value of v.values) records.push(...joiner.add(unhex(value)));
    need(records.length === v.records.length && records.every((one, i) => hex(one) === v.records[i]), "joined");
  },
};

// Half of all numbers may be early: some stacks deliver notifications out of order.
function order() {
  const splitter = new Splitter(), joiner = new Joiner(5000), values = [];
  for (let n = 0; n < 33; n++) values.push(...splitter.split(Uint8Array.of(n), 20));
  let refusal = "";
  try {
    joiner.add(values[32]);
  } catch (error) {
    refusal = String(error);
  }
  need(refusal.includes("out of order"), "one too far ahead was taken");
  const records = values.slice(0, 32).reverse().flatMap((value) => joiner.add(value));
  need(records.length === 32 && records.every((one, n) => hex(one) === hex(Uint8Array.of(n))), "order");
}

// RFC 8439, 2.8.2: the one example with associated data.
function aead() {
  const key = Uint8Array.from({length: 32}, (_, i) => 0x80 + i), nonce = unhex("070000004041424344454647");
  const ad = unhex("50515253c0c1c2c3c4c5c6c7");
  const text = new TextEncoder().encode("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.");
  const sealed = seal(key, nonce, ad, text);
  equal(sealed.subarray(0, 8), "d31a8d34648e60db", "RFC 8439");
  equal(sealed.subarray(-16), "1ae10b594f09e26a7e902ecbd0600691", "RFC 8439");
  need(same(open(key, nonce, ad, sealed), text), "RFC 8439");
  for (const i of [0, 50, sealed.length - 1]) {
    const bad = concat(sealed);
    bad[i] ^= 1;
    let taken = true;
    try {
      open(key, nonce, ad, bad);
    } catch (error) {
      taken = false;
    }
    need(!taken, "a forged record was taken");
  }
}

export async function check(vectors) {
  const done = {};
  aead();
  order();
  for (const [name, one] of Object.entries(CHECKS)) {
    done[name] = 0;
    for (const vector of vectors[name]) {
      await one(vector);
      done[name]++;
    }
  }
  return done;
}
