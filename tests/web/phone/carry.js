// A courier whose link is a list: test_phone.py carries the frames between it and the real core.
import {hex, unhex} from "/bytes.js";
import {Courier} from "/courier.js";
import {Held} from "/held.js";

let courier = null, held = null, out = [];

export async function meet(me, node, community) {
  if (courier) courier.end();
  if (held) held.close();
  held = await Held.open(community);
  out = [];
  const link = {me: unhex(me), key: unhex(node), frame: async (frame) => { out.push(hex(frame)); }};
  courier = new Courier(held, link, () => {});
  await courier.begin();
  return told();
}

export async function deliver(frames) {
  for (const frame of frames) {
    try {
      await courier.frame(unhex(frame));
    } catch (error) {
      console.info("dropped: " + error.message);
    }
  }
  return told();
}

export async function told() {
  return {out: out.splice(0), held: held.count, bytes: held.bytes, taken: courier.taken, given: courier.given,
    lanes: [0, 1, 2].map((lane) => held.keys(lane).length)};
}

export async function forget() {
  held.close();
  await Held.forget();
}
