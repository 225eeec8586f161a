// How the page reaches a node from a phone: over Bluetooth, from a page that was loaded and kept before. It stands in for
// the module of this name that the node's own page has; it adds the panel to connect with, and carries messages from box
// to box. Words are in texts.js.
import {hex, sha256, unhex} from "./bytes.js";
import {Courier} from "./courier.js";
import {Held} from "./held.js";
import {Link, SERVICE} from "./link.js";

export const POLL_MS = 8000;
export const ROWS = 10; // an answer over Bluetooth has at most 64 KiB
const AGAIN_MS = 5000, RADIO_MS = 3000, KEY = /^[0-9a-f]{64}$/i;

const panel = {};
const now = {device: null, link: null, courier: null, held: null, community: "", opening: null, tried: -Infinity, refresh: null, words: null};

// --- what the page asks for

export const gone = (words, ever) => ever ? words.phone.gone : words.phone.gone_first;
export const isFollowing = () => false;
export const follow = () => {};
export const unfollow = () => {};

export async function ask(path, body) {
  if (!now.link) await again();
  const {status, again_s, value} = await now.link.ask(body ? "POST" : "GET", path, body);
  if (status !== 200) throw Object.assign(new Error(value.error.message), value.error, {wait: again_s});
  if (path === "/api/status") meet(value);
  return value;
}

export function begin(refresh, words) {
  Object.assign(now, {refresh, words});
  words.gone_word = words.phone.away;
  document.querySelector("[data-t=about_text]").textContent = words.phone.about;
  draw();
  if (navigator.serviceWorker) navigator.serviceWorker.register("sw.js");
  if (/^#key=/.test(location.hash)) { // how a steward hands the community's key over: never sent, and not left standing
    setKey(location.hash.slice(5));
    history.replaceState(null, "", location.pathname);
  }
  return 0;
}

// --- the connection

async function choose() {
  try {
    now.device = await navigator.bluetooth.requestDevice({filters: [{services: [SERVICE]}]});
  } catch (error) {
    if (error.name !== "NotFoundError") say(error.message); // not found: nothing was chosen
    return;
  }
  if (now.link) now.link.close("closed");
  await connect().then(() => now.refresh("status", "alerts", "peers", "board", "checkins"), () => { /* it was said */ });
}

// Connect to the node that was chosen before, but not all the time.
async function again() {
  if (!now.device || performance.now() - now.tried < AGAIN_MS) throw new Error("not connected");
  await connect();
}

function connect() {
  now.opening = now.opening || open().finally(() => {
    now.opening = null;
    now.tried = performance.now();
  });
  return now.opening;
}

async function open(asGuest = false) {
  const link = new Link(now.device), key = keep("community"), hasKey = KEY.test(key) && !asGuest;
  say(now.words.phone.connecting);
  link.onend = (reason) => {
    if (now.link !== link) return;
    now.link = null;
    drop();
    say(why(reason));
  };
  try {
    await link.open(hasKey ? unhex(key) : null);
  } catch (error) {
    if (error.reason === "community_key" && hasKey && link.info.hasPage) return open(true); // of another one: read and post
    say(why(error.reason));
    throw error;
  }
  if (!link.isUp) {
    say(why("closed"));
    throw new Error("it ended at once");
  }
  now.link = link;
  now.community = link.info.isClosed ? hex(await sha256(unhex(key))).slice(0, 32) : "open";
  say("");
  await carry();
}

function why(reason) {
  return now.words.phone.why[reason] || now.words.phone.why.closed;
}

// The node has said who it is: it must be the one whose key the session has proven.
function meet(status) {
  if (status.node !== hex(now.link.key)) {
    now.link.close("error");
    throw new Error("another node's page");
  }
}

// --- carrying

async function carry() {
  drop();
  if (keep("carry") === "no" || !now.link || !now.link.isNeighbour) return tell();
  now.held = await Held.open(now.community);
  const courier = now.courier = new Courier(now.held, now.link, tell);
  now.link.onframe = (frame) => courier.frame(frame);
  await courier.begin();
  tell();
}

function drop() {
  if (now.courier) now.courier.end();
  if (now.held) now.held.close();
  if (now.link) now.link.onframe = () => {};
  now.courier = now.held = null;
  tell();
}

async function setCarrying(on) {
  keep("carry", on ? "" : "no");
  await carry().catch(() => { /* the link has ended, which was said */ });
  if (!on) await Held.forget();
}

function setKey(text) {
  const isKey = KEY.test(text.trim());
  if (isKey || !text.trim()) keep("community", text.trim().toLowerCase());
  if (panel.key) {
    panel.keySaid.textContent = isKey ? now.words.phone.key_kept : text.trim() ? now.words.phone.key_wrong : "";
    panel.key.value = "";
  }
  if (now.link) now.link.close("closed"); // the next session is another one
}

// --- the panel

function keep(key, value) {
  try {
    if (value === undefined) return localStorage.getItem(key) || "";
    localStorage.setItem(key, value);
  } catch (error) { /* private mode: nothing is kept */ }
  return "";
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function draw() {
  const {phone} = now.words, section = make("section", {className: "card reach", id: "phone"});
  document.querySelector(".well").append(section);
  if (!navigator.bluetooth) return section.append(make("p", {textContent: phone.unable}));
  panel.said = make("p", {id: "reach-said"});
  panel.said.setAttribute("role", "status");
  panel.button = make("button", {type: "button", id: "reach", textContent: phone.connect, onclick: choose});
  panel.carried = make("p", {className: "note", id: "carried"});
  panel.carry = make("input", {type: "checkbox", id: "carry", checked: keep("carry") !== "no"});
  panel.carry.onchange = () => setCarrying(panel.carry.checked);
  panel.key = make("input", {type: "password", id: "key", autocomplete: "off", spellcheck: false});
  panel.key.onchange = () => setKey(panel.key.value);
  panel.keySaid = make("p", {className: "note", id: "key-said"});
  panel.off = make("p", {id: "radio-off", textContent: phone.off, hidden: true});
  section.append(make("p", {textContent: phone.how}), panel.off, panel.button, panel.said,
    make("label", {className: "check"}, panel.carry, phone.carry), panel.carried,
    make("details", {}, make("summary", {textContent: phone.member}),
      make("label", {htmlFor: "key", textContent: phone.key}), panel.key, panel.keySaid));
  tell();
  watchRadio();
}

// Say while the phone's Bluetooth is off; asking also has it ready when the button is pressed.
async function watchRadio() {
  panel.off.hidden = await navigator.bluetooth.getAvailability();
  if (!panel.off.hidden) setTimeout(watchRadio, RADIO_MS);
}

function say(text) {
  panel.said.textContent = text;
  panel.button.textContent = now.link ? now.words.phone.other : now.words.phone.connect;
}

function tell() {
  const {phone} = now.words, courier = now.courier;
  const held = now.held ? now.held.count : 0;
  panel.carried.textContent = courier
    ? phone.carried.replace("{n}", held).replace("{given}", courier.given).replace("{taken}", courier.taken)
    : now.link && !now.link.isNeighbour ? phone.guest : "";
}
