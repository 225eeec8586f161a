// A phone as a neighbour that carries messages from node to node: it has no word of its own to say, it takes what it
// lacks and gives what it has (PROTOCOL.md 5, 6). It tells its keys as plain lists, which any node understands.
import {compare, concat, hex, random, same} from "./bytes.js";
import {decode, encode} from "./cbor.js";
import {Frames, fingerprint, packMessages, read, splitFrame, unpackMessages} from "./messages.js";

const HELLO = 1, MESSAGES = 2, RANGES = 3, SKETCH = 4, WANT = 5, DIGEST = 7, FRAGMENT = 9;
const SKIP = 0, FINGERPRINT = 1, KEYS = 2;
const LANES = 3, KEY_BYTES = 16, KEYS_MAX = 200, MTU_BYTES = 4096, BATCH_BYTES = 3072, BATCH_MESSAGES = 64;
const CLOCK_QUALITY = 3, FEATURES = 0, NAME = "phone"; // a phone's clock is set by its network; it is as good as a host's
const ROUND_MS = 2000, DIGEST_MS = 20000;
const NONE = new Uint8Array(0);

const keysIn = (bytes) => Array.from({length: bytes.length / KEY_BYTES}, (_, i) => bytes.slice(i * KEY_BYTES, (i + 1) * KEY_BYTES));
const hlc = () => Math.floor(Date.now() / 1000 * 65536);

export class Courier {
  taken = 0; // messages that were new to us
  given = 0; // messages that the node asked for, or lacked
  #held;
  #link;
  #onchange;
  #frames = new Frames();
  #fragmentId = random(1)[0];
  #greeted = -Infinity; // when our HELLO went out
  #met = false; // the node's HELLO has come
  #rounds = Array(LANES).fill(-Infinity); // when we last told a lane's keys
  #timer = 0;

  // held: of held.js. link: has me, and frame(bytes). onchange() is called when a figure is another one.
  constructor(held, link, onchange) {
    this.#held = held;
    this.#link = link;
    this.#onchange = onchange;
  }

  async begin() {
    this.#timer = setInterval(() => this.#tellDigest().catch(() => { /* the link has ended */ }), DIGEST_MS);
    await this.#greet();
  }

  end() {
    clearInterval(this.#timer);
  }

  // One link frame from the node. Throws for what is malformed, which ends nothing.
  async frame(frame) {
    const [kind] = frame;
    if (kind === FRAGMENT) {
      const whole = await this.#frames.add(frame);
      if (whole) await this.frame(whole);
    } else if (kind === HELLO) {
      await this.#onHello(decode(frame.subarray(1)));
    } else if (this.#met && kind === MESSAGES) {
      await this.#onMessages(frame);
    } else if (this.#met && kind === RANGES) {
      await this.#onRanges(...decode(frame.subarray(1)));
    } else if (this.#met && kind === SKETCH) {
      await this.#round(decode(frame.subarray(1))[0]);
    } else if (this.#met && kind === WANT) {
      const [lane, keys] = decode(frame.subarray(1));
      await this.#give(lane, keysIn(keys));
    } else if (this.#met && kind === DIGEST) {
      await this.#compare(decode(frame.subarray(1))[2]);
    }
  }

  // --- what comes

  async #onHello(hello) {
    if (!same(hello.get(2), this.#link.key)) throw new Error("courier: a HELLO of another node");
    this.#met = true;
    if (performance.now() - this.#greeted > ROUND_MS) await this.#greet();
    await this.#compare(hello.get(7));
  }

  async #onMessages(frame) {
    const list = [];
    for (const data of unpackMessages(frame)) {
      const message = await read(data);
      if (await message.isGood()) list.push({key: message.key, lane: message.lane, expires_s: message.expires_s, data});
    }
    this.taken += await this.#held.add(list, Date.now() / 1000);
    this.#onchange();
  }

  async #onRanges(lane, list) {
    if (!(lane < LANES)) return;
    let low = NONE;
    for (const [high, mode, value] of list) {
      const ours = this.#held.keys(lane).filter((key) => compare(key, low) >= 0 && (!high.length || compare(key, high) < 0));
      if (mode === KEYS) {
        const theirs = keysIn(value), names = new Set(theirs.map(hex)), floor = this.#held.floor(lane);
        await this.#want(lane, theirs.filter((key) => !this.#held.has(key) && compare(key, floor) >= 0));
        await this.#give(lane, ours.filter((key) => !names.has(hex(key))));
      } else if (mode === FINGERPRINT) {
        const [count, fp8] = await fingerprint(ours);
        if (value[0] === 0) await this.#give(lane, ours);
        else if (count !== value[0] || !same(fp8, value[1])) await this.#tell(lane, low, high, ours);
      }
      low = high;
    }
  }

  // Their digests: lanes that differ begin a round.
  async #compare(digests) {
    for (const [lane, count, fp8] of digests) {
      if (!(lane < LANES)) continue;
      const [ours, print] = await fingerprint(this.#held.keys(lane));
      if (ours !== count || !same(print, fp8)) await this.#round(lane);
    }
  }

  // --- what goes

  #send(frame) {
    return splitFrame(frame, this.#fragmentId++ & 0xffff, MTU_BYTES)
      .then((pieces) => Promise.all(pieces.map((piece) => this.#link.frame(piece))));
  }

  #sendItem(kind, value) {
    return this.#send(concat([kind], encode(value)));
  }

  async #digests() {
    return Promise.all([0, 1, 2].map(async (lane) => [lane, ...await fingerprint(this.#held.keys(lane))]));
  }

  async #greet() {
    this.#greeted = performance.now();
    await this.#sendItem(HELLO, new Map([[1, [1, 1]], [2, this.#link.me], [3, hlc()], [4, CLOCK_QUALITY], [5, (1 << LANES) - 1],
      [6, NAME], [7, await this.#digests()], [8, FEATURES]]));
  }

  async #tellDigest() {
    if (this.#met) await this.#sendItem(DIGEST, [hlc(), CLOCK_QUALITY, await this.#digests()]);
  }

  async #round(lane) {
    if (!(lane < LANES) || performance.now() - this.#rounds[lane] < ROUND_MS) return;
    this.#rounds[lane] = performance.now();
    const floor = this.#held.floor(lane);
    await this.#tell(lane, floor, NONE, this.#held.keys(lane).filter((key) => compare(key, floor) >= 0));
  }

  // Which keys we hold from `low` up to `high` (empty: all from there on), in frames that each cover a part.
  async #tell(lane, low, high, keys) {
    for (let at = 0; at === 0 || at < keys.length; at += KEYS_MAX) {
      const from = at ? keys[at] : low, to = at + KEYS_MAX < keys.length ? keys[at + KEYS_MAX] : high;
      const range = [to, KEYS, concat(...keys.slice(at, at + KEYS_MAX))];
      await this.#sendItem(RANGES, [lane, from.length ? [[from, SKIP, NONE], range] : [range]]);
    }
  }

  async #want(lane, keys) {
    for (let at = 0; at < keys.length; at += KEYS_MAX) await this.#sendItem(WANT, [lane, concat(...keys.slice(at, at + KEYS_MAX))]);
  }

  async #give(lane, keys) {
    const all = keys.map((key) => this.#held.data(key)).filter((data) => data);
    while (all.length) {
      const batch = [all.shift()];
      let size = batch[0].length;
      while (all.length && batch.length < BATCH_MESSAGES && size + all[0].length <= BATCH_BYTES) {
        size += all[0].length;
        batch.push(all.shift());
      }
      await this.#send(packMessages(batch));
      this.given += batch.length;
      this.#onchange();
    }
  }
}
