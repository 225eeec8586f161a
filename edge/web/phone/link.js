// A session with one node over Web Bluetooth (PROTOCOL.md 16): connect, read INFO, shake hands, then records both ways.
// It carries requests for the node's page and, where the phone may be a neighbour, link frames; what is in them is not
// its business. One write at a time, never more under way than the node has said that it has room for.
import {compare, concat, random} from "./bytes.js";
import {decode} from "./cbor.js";
import {Joiner, LAST, Splitter} from "./fragments.js";
import {exchangeKeys, handshake, identity, pskOf} from "./noise.js";

export const SERVICE = "1d3d3050-9695-4f46-8c7b-1303e49feeb0";
const IN = "1d3d3051-9695-4f46-8c7b-1303e49feeb0", OUT = "1d3d3052-9695-4f46-8c7b-1303e49feeb0";
const INFO = "1d3d3053-9695-4f46-8c7b-1303e49feeb0";
const ROOM_BYTES = 244; // of a value: browsers don't tell the MTU; this and its heads are one packet of the link layer
const WINDOW_BYTES = 8192, FRAME_BYTES_MAX = 4096, HANDSHAKE_BYTES_MAX = 512, TAG_BYTES = 16;
const READY = 1, CLOSE = 2, PAGE = 3, PIECE_BYTES = FRAME_BYTES_MAX - 5, REQUESTS_MAX = 2;
const SHAKE_MS = 15000, GAP_MS = 2000, ANSWER_MS = 120000;
const REST_MS = 3000; // BlueZ hangs up two seconds after it was asked to; who connects in between is cut off then
const WORDS = ["closed", "busy", "community_key", "duplicate", "same_key", "self", "stopped", "replaced", "error", "silent"];

// What a node says of itself before anything is proven.
export function readInfo(data) {
  const info = decode(data), [versions, key, recordBytesMax, windowBytes, features] = [1, 2, 3, 4, 5].map((n) => info.get(n));
  if (!(versions[0] <= 1 && versions[1] >= 1)) throw fault("version");
  if (!(key.length === 32 && recordBytesMax >= HANDSHAKE_BYTES_MAX && windowBytes >= recordBytesMax)) throw fault("error");
  return {key, recordBytesMax, windowBytes, isClosed: !!(features & 1), hasPage: !!(features & 2)};
}

// An error with a word that says why: one of WORDS, "version", "no_page", "timeout".
function fault(reason) {
  return Object.assign(new Error("link: " + reason), {reason});
}

function within(ms, promise) {
  let timer;
  const late = new Promise((_, no) => { timer = setTimeout(() => no(fault("timeout")), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const parted = new WeakMap(); // when we have hung up, by device

// Wait until an earlier connection with this device is over for the radio, too.
function rest(device) {
  return new Promise((ok) => setTimeout(ok, (parted.get(device) ?? -REST_MS) + REST_MS - performance.now()));
}

export class Link {
  info = null;
  key = null; // the node's, proven
  me = null; // our key in this session
  isNeighbour = false; // else a guest, who has the page alone
  onframe = () => {}; // called with each link frame; may be async, the next one waits
  onend = () => {}; // called once, with the reason

  #device;
  #in;
  #splitter = new Splitter();
  #joiner = new Joiner(HANDSHAKE_BYTES_MAX);
  #session = null;
  #told = 0; // what we have said that we took
  #room = () => {}; // called when the node may have room again
  #records = []; // that wait to be sent: {plain, or record, done}
  #frames = new Set(); // whose senders wait: what tells them that it will not go
  #writing = false;
  #taking = Promise.resolve();
  #handshakes = []; // records that came, and who waits for one
  #waiter = null;
  #asked = new Map(); // by id: the answer's pieces until now
  #id = 0;
  #busy = []; // requests that wait for their turn
  #gap = 0;
  #ended = false;

  constructor(device) {
    this.#device = device;
  }

  // Connect and shake hands. communityKey: 32 bytes or null. Throws with a `reason`.
  async open(communityKey) {
    await rest(this.#device);
    this.#device.addEventListener("gattserverdisconnected", () => this.close("closed"), {once: true});
    try {
      await within(SHAKE_MS, this.#start(communityKey));
    } catch (error) {
      this.close(error.reason || "error");
      throw error;
    }
  }

  async #start(communityKey) {
    const server = await this.#device.gatt.connect(), service = await server.getPrimaryService(SERVICE);
    this.#in = await service.getCharacteristic(IN);
    const out = await service.getCharacteristic(OUT), info = await service.getCharacteristic(INFO);
    this.info = readInfo(new Uint8Array((await info.readValue()).buffer));
    const isMember = this.info.isClosed && communityKey !== null;
    if (!this.info.hasPage && this.info.isClosed && !isMember) throw fault("no_page");
    this.isNeighbour = isMember || !this.info.isClosed;
    out.addEventListener("characteristicvaluechanged", (event) => this.#heard(new Uint8Array(event.target.value.buffer)));
    await out.stopNotifications(); // Chromium on BlueZ would give them to the object of an earlier connection
    await out.startNotifications();
    const me = await identity(random(32)), psk = isMember ? await pskOf(communityKey) : null;
    const shake = await handshake(me, await exchangeKeys(random(32)), random(8), psk);
    this.me = me.public;
    this.#send({record: await shake.first()});
    this.key = await shake.second(await this.#handshake());
    const {message, seal, open} = await shake.third();
    this.#joiner.recordBytesMax = FRAME_BYTES_MAX + TAG_BYTES;
    this.#send({record: message});
    this.#session = {seal, open};
    this.#send({plain: Uint8Array.of(0, READY, 0, 0, 0, compare(this.me, this.key) < 0 ? 1 : 0)});
    const ready = open(await this.#handshake());
    if (ready[0] || ready[1] !== READY) throw fault(ready[1] === CLOSE ? WORDS[ready[2]] || "closed" : "error");
    this.#waiter = false; // from now on records go where they belong
    for (const record of this.#handshakes.splice(0)) this.#take(record);
  }

  // Whether frames and requests can go.
  get isUp() {
    return this.#waiter === false && !this.#ended;
  }

  // End it; `onend` is called once, and whoever waits is told.
  close(reason) {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#gap);
    for (const one of this.#asked.values()) one.no(fault(reason));
    for (const one of this.#busy) one.no(fault(reason));
    for (const no of this.#frames) no(fault(reason));
    if (this.#waiter) this.#waiter.no(fault(reason));
    this.#records.length = 0;
    this.#room();
    this.#device.gatt.disconnect();
    parted.set(this.#device, performance.now());
    this.onend(reason);
  }

  // Send one link frame of at most FRAME_BYTES_MAX; resolves when the node's stack has it. Throws with a `reason` where
  // the link has ended.
  async frame(frame) {
    if (this.#ended) throw fault("closed");
    let never;
    try {
      await new Promise((done, no) => {
        this.#frames.add(never = no);
        this.#send({plain: frame, done});
      });
    } finally {
      this.#frames.delete(never);
    }
  }

  // Ask for the page: {status, again_s, value}. Throws with a `reason` where no answer came.
  async ask(method, path, body) {
    if (!this.isUp) throw fault("closed");
    if (this.#asked.size >= REQUESTS_MAX) await new Promise((ok, no) => this.#busy.push({ok, no}));
    const id = this.#id = (this.#id + 1) % 65536;
    const request = new TextEncoder().encode(`${method} ${path}` + (body ? "\n" + JSON.stringify(body) : ""));
    const answer = new Promise((ok, no) => this.#asked.set(id, {ok, no, parts: []}));
    for (let at = 0; at < request.length; at += PIECE_BYTES) {
      const piece = request.subarray(at, at + PIECE_BYTES), last = at + piece.length === request.length;
      this.#send({plain: concat([0, PAGE, id >> 8, id & 255, last ? 1 : 0], piece)});
    }
    try {
      return readAnswer(await within(ANSWER_MS, answer));
    } catch (error) {
      if (error.reason === "timeout") this.close("silent");
      throw error;
    } finally {
      this.#asked.delete(id);
      if (this.#busy.length) this.#busy.shift().ok();
    }
  }

  // --- out

  #send(one) {
    this.#records.push(one);
    this.#pump();
  }

  async #pump() {
    if (this.#writing) return;
    this.#writing = true;
    try {
      do {
        await this.#tellCredit();
        const one = this.#records.shift();
        if (one) await this.#write(one);
      } while (!this.#ended && (this.#records.length || this.#creditIsDue()));
    } catch (error) {
      this.close("closed"); // the radio is gone
    } finally {
      this.#writing = false;
    }
  }

  // Write one record, as the node says that it has room.
  async #write(one) {
    for (const value of this.#splitter.split(one.record || this.#session.seal(one.plain), ROOM_BYTES)) {
      while (this.#splitter.sent - this.#joiner.credited > this.info.windowBytes) {
        await new Promise((ok) => { this.#room = ok; });
        if (this.#ended) return;
        await this.#tellCredit();
      }
      if (value[0] & LAST) await this.#in.writeValueWithResponse(value); // so that nothing is left in our stack
      else await this.#in.writeValueWithoutResponse(value);
      await this.#tellCredit();
    }
    if (one.done) one.done();
  }

  #creditIsDue() {
    return this.#joiner.taken - this.#told >= WINDOW_BYTES / 2;
  }

  async #tellCredit() {
    if (!this.#creditIsDue()) return;
    this.#told = this.#joiner.taken;
    await this.#in.writeValueWithResponse(this.#splitter.credit(this.#told));
  }

  // --- in

  #heard(value) {
    if (this.#ended) return;
    try {
      for (const record of this.#joiner.add(value)) {
        if (this.#waiter === false) this.#take(record);
        else this.#shaken(record);
      }
    } catch (error) {
      this.close("error");
      return;
    }
    clearTimeout(this.#gap);
    if (this.#joiner.waiting) this.#gap = setTimeout(() => this.close("error"), GAP_MS);
    this.#room(); // a credit may have come, or be due
    this.#pump();
  }

  // The next record of the handshake.
  #handshake() {
    return new Promise((ok, no) => {
      if (this.#handshakes.length) ok(this.#handshakes.shift());
      else this.#waiter = {ok, no};
    });
  }

  #shaken(record) {
    const waiter = this.#waiter;
    if (record.length === 1) {
      this.close(WORDS[record[0]] || "closed");
    } else if (waiter) {
      this.#waiter = null;
      waiter.ok(record);
    } else {
      this.#handshakes.push(record);
    }
  }

  #take(record) {
    const plain = this.#session.open(record);
    if (plain[0]) this.#taking = this.#taking.then(() => this.onframe(plain)).catch((error) => console.info(String(error)));
    else if (plain[1] === CLOSE) this.close(WORDS[plain[2]] || "closed");
    else if (plain[1] === PAGE) this.#answered(plain);
  }

  #answered(plain) {
    const one = this.#asked.get(plain[2] << 8 | plain[3]);
    if (!one) return;
    one.parts.push(plain.subarray(5));
    if (plain[4]) one.ok(concat(...one.parts));
  }
}

function readAnswer(answer) {
  const text = new TextDecoder().decode(answer), end = text.indexOf("\n");
  const [status, again] = text.slice(0, end).split(" ");
  return {status: Number(status), again_s: again ? Number(again) : 0, value: JSON.parse(text.slice(end + 1))};
}

