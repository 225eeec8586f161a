// The messages that this phone carries for one community, in a database of the browser's own: bounded, the lowest lane
// and the oldest go first. What is one community's never gets into another's. All of them are in memory as well while the
// page is open; what was added is in the database before it counts.
import {big, compare, hex, unbig, unhex} from "./bytes.js";

export const BYTES_MAX = 4 << 20, MESSAGES_MAX = 2000;
const PREFIX = "waypost-carried-", STORE = "messages", LANES = 3;

const done = (request) => new Promise((ok, no) => {
  request.onsuccess = request.oncomplete = () => ok(request.result);
  request.onerror = request.onabort = () => no(request.error);
});

export class Held {
  bytes = 0;
  #db;
  #rows = new Map(); // by key in hex: {name, key, lane, expires_s, data}
  #floors = Array.from({length: LANES}, () => ""); // in hex; what is below was given up for want of room

  // community: a word that stands for it, "open" where there is no key.
  static async open(community) {
    const held = new Held(), request = indexedDB.open(PREFIX + community, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, {keyPath: "name"});
    held.#db = await done(request);
    for (const row of await done(held.#store("readonly").getAll())) held.#put(row);
    await held.#tidy(Date.now() / 1000);
    return held;
  }

  get count() {
    return this.#rows.size;
  }

  // The keys of a lane, ascending.
  keys(lane) {
    return this.#of(lane).map((row) => row.key);
  }

  has(key) {
    return this.#rows.has(hex(key));
  }

  data(key) {
    const row = this.#rows.get(hex(key));
    return row && row.data;
  }

  // Keys of this lane from here on are held if there are any; the others were given up.
  floor(lane) {
    return unhex(this.#floors[lane]);
  }

  // Keep messages, {key, lane, expires_s, data} each, and forget what has expired or is too much. Gives how many are new.
  async add(list, now_s) {
    const fresh = list.filter((one) => one.lane < LANES && one.expires_s > now_s && compare(one.key, this.floor(one.lane)) >= 0
      && !this.has(one.key));
    const rows = fresh.map(({key, lane, expires_s, data}) => ({name: hex(key), key, lane, expires_s, data}));
    const store = this.#store("readwrite");
    for (const row of rows) store.put(row);
    await done(store.transaction);
    for (const row of rows) this.#put(row);
    await this.#tidy(now_s);
    return rows.length;
  }

  // Forget everything, of all communities.
  static async forget() {
    for (const {name} of await indexedDB.databases()) if (name.startsWith(PREFIX)) await done(indexedDB.deleteDatabase(name));
  }

  close() {
    this.#db.close();
  }

  #store(mode) {
    return this.#db.transaction(STORE, mode).objectStore(STORE);
  }

  #put(row) {
    if (!this.#rows.has(row.name)) this.bytes += row.data.length;
    this.#rows.set(row.name, row);
  }

  #of(lane) {
    return [...this.#rows.values()].filter((row) => row.lane === lane).sort((a, b) => a.name < b.name ? -1 : 1);
  }

  async #tidy(now_s) {
    const gone = [...this.#rows.values()].filter((row) => row.expires_s <= now_s);
    let bytes = this.bytes - gone.reduce((sum, row) => sum + row.data.length, 0), count = this.count - gone.length;
    for (let lane = LANES - 1; lane >= 0 && (bytes > BYTES_MAX || count > MESSAGES_MAX); lane--) {
      for (const row of this.#of(lane).filter((one) => one.expires_s > now_s)) {
        if (bytes <= BYTES_MAX && count <= MESSAGES_MAX) break;
        gone.push(row);
        bytes -= row.data.length;
        count--;
        this.#floors[lane] = hex(unbig(big(row.key) + 1n, row.key.length));
      }
    }
    if (!gone.length) return;
    const store = this.#store("readwrite");
    for (const row of gone) store.delete(row.name);
    await done(store.transaction);
    for (const row of gone) {
      this.#rows.delete(row.name);
      this.bytes -= row.data.length;
    }
  }
}
