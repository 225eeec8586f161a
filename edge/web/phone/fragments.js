// Records in fragments of one ATT value each, numbered, and the credits that say how much was taken (PROTOCOL.md 16.3).
import {concat} from "./bytes.js";

export const LAST = 0x40;
const FIRST = 0x80, NUMBERS = 64, EARLY_MAX = NUMBERS / 2 - 1;

function varint(n) {
  const out = [];
  for (; n > 0x7f; n >>>= 7) out.push(n & 0x7f | 0x80);
  return Uint8Array.from([...out, n]);
}

// One direction, sending. `sent` counts the bytes that credits are about.
export class Splitter {
  sent = 0;
  #number = 0;

  #value(bits, ...parts) {
    const value = concat([bits | this.#number], ...parts);
    this.#number = (this.#number + 1) % NUMBERS;
    return value;
  }

  // The values of one record, each of at most `room` bytes, one by one: a credit may go between two.
  *split(record, room) {
    const size = varint(record.length);
    for (let at = 0; at < record.length;) {
      const end = Math.min(record.length, at + room - 1 - (at ? 0 : size.length));
      const value = this.#value((at ? 0 : FIRST) | (end === record.length ? LAST : 0), at ? [] : size, record.subarray(at, end));
      this.sent += value.length;
      yield value;
      at = end;
    }
  }

  // The value that says how many bytes were taken.
  credit(taken) {
    const count = new DataView(new ArrayBuffer(4));
    count.setUint32(0, taken % 2 ** 32);
    return this.#value(FIRST | LAST, [0], new Uint8Array(count.buffer));
  }
}

// One direction, receiving. `taken`: bytes until now. `credited`: what the other side has taken of ours. `waiting`:
// fragments that are here while one before them is not.
export class Joiner {
  taken = 0;
  credited = 0;
  #early = new Map();
  #number = 0;
  #parts = [];
  #length = 0; // of the unfinished record; 0 while there is none
  #have = 0;

  constructor(recordBytesMax) {
    this.recordBytesMax = recordBytesMax;
  }

  get waiting() {
    return this.#early.size;
  }

  // The records that this value completes. Throws for what the protocol does not allow.
  add(value) {
    if (value.length < 2) throw new Error("fragment: too short");
    const ahead = ((value[0] & 0x3f) - this.#number + NUMBERS) % NUMBERS;
    if (ahead > EARLY_MAX || this.#early.has(value[0] & 0x3f)) throw new Error("fragment: out of order");
    this.#early.set(value[0] & 0x3f, value);
    const out = [];
    for (let next; (next = this.#early.get(this.#number));) {
      this.#early.delete(this.#number);
      this.#number = (this.#number + 1) % NUMBERS;
      const record = this.#take(next);
      if (record) out.push(record);
    }
    return out;
  }

  #take(value) {
    let at = 1;
    if (value[0] & FIRST) {
      let length = 0;
      for (let shift = 0; ; shift += 7) {
        if (at === value.length || shift > 14) throw new Error("fragment: a length that does not end");
        length |= (value[at] & 0x7f) << shift;
        if (value[at++] < 0x80) break;
      }
      if (length && (this.#length || length > this.recordBytesMax)) throw new Error("fragment: a record too long, or in another");
      if (!length) {
        if (value.length !== 6 || !(value[0] & LAST)) throw new Error("fragment: a credit of another form");
        this.credited = new DataView(value.buffer, value.byteOffset).getUint32(2);
        return null;
      }
      this.#length = length;
    } else if (!this.#length) {
      throw new Error("fragment: of no record");
    }
    this.taken += value.length;
    this.#parts.push(value.subarray(at));
    this.#have += value.length - at;
    if (at === value.length || this.#have > this.#length || (this.#have === this.#length) !== !!(value[0] & LAST)) {
      throw new Error("fragment: of another length than was said");
    }
    if (!(value[0] & LAST)) return null;
    const record = concat(...this.#parts);
    this.#parts = [];
    this.#length = this.#have = 0;
    return record;
  }
}
