// The page's own program: asks the node, shows the answers, posts notices. All words are in texts.js. What people wrote
// is only ever set as textContent. Times are counted from the node's clock, so a wrong phone clock does no harm.
import {POLL_MS, ROWS, ask, begin as reach, follow, gone, isFollowing, unfollow} from "./node.js";
import {hintOf, urgentFirst} from "./hints.js";
import * as alerts from "./alerts.js";
import * as question from "./ask.js";
import * as checkin from "./checkin.js";
import * as emergency from "./emergency.js";
import * as sticks from "./sticks.js";
import {TEXTS} from "./texts.js";

const RETRY_MS = 4000, ROWS_MAX = 200;
const lang = TEXTS[navigator.language] ? navigator.language
  : TEXTS[navigator.language.split("-")[0]] ? navigator.language.split("-")[0] : "en";
const words = TEXTS[lang];
const plurals = new Intl.PluralRules(lang);
const $ = (id) => document.getElementById(id);
const now = {status: null, notices: null, peers: null, rows: ROWS, skew: null, heard: null, seen: null};

// --- words

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, key) => key in values ? values[key] : all);
}

function count(forms, n) {
  return fill(forms[plurals.select(n)] || forms.other, {n: n.toLocaleString(lang)});
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function show(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

// --- time, by the node's clock

function nodeTime() {
  return now.skew === null ? Date.now() : performance.now() + now.skew;
}

function ago(ms) {
  const s = Math.round((nodeTime() - ms) / 1000);
  if (s < 45) return words.just_now;
  if (s > 6.5 * 86400 || !Intl.RelativeTimeFormat) {
    return new Date(ms).toLocaleDateString(lang, {day: "numeric", month: "long", year: "numeric"});
  }
  const speak = new Intl.RelativeTimeFormat(lang, {numeric: "auto"});
  if (s < 3570) return speak.format(-Math.max(1, Math.round(s / 60)), "minute");
  if (s < 84600) return speak.format(-Math.max(1, Math.round(s / 3600)), "hour");
  return speak.format(-Math.max(1, Math.round(s / 86400)), "day");
}

function timeOf(ms) {
  const element = make("time", "", ago(ms));
  element.dateTime = new Date(ms).toISOString();
  element.title = new Date(ms).toLocaleString(lang);
  element.dataset.ms = ms;
  return element;
}

function tellTimes() {
  for (const element of document.querySelectorAll("time")) element.textContent = ago(Number(element.dataset.ms));
}

// --- asking

const parts = {
  status: async () => {
    const asked = performance.now();
    const status = await ask("/api/status");
    now.skew = status.now_ms - (asked + performance.now()) / 2;
    now.heard = Date.now();
    now.status = status;
    showStatus();
  },
  board: async () => {
    try {
      const answer = await ask("/api/board?limit=" + now.rows);
      now.notices = answer.notices;
      showBoard();
    } catch (error) {
      if (now.notices === null) show("board-said", words.board_failed);
      throw error;
    }
  },
  alerts: async () => alerts.show(await ask("/api/alerts")),
  checkins: async () => checkin.show(await ask("/api/checkins")),
  sticks: async () => sticks.show(await ask("/api/sticks")),
  peers: async () => {
    try {
      now.peers = (await ask("/api/peers")).peers;
      showPeers();
      if (now.status) showStatus();
    } catch (error) {
      if (now.peers === null) show("near-said", words.near_failed);
      throw error;
    }
  },
};

async function refresh(...names) {
  let unreachable = false;
  for (const name of names) {
    try {
      await parts[name]();
    } catch (error) {
      if (error.code) console.info(name + ": " + error.code);
      else unreachable = true;
    }
  }
  showGone(unreachable);
  return !unreachable;
}

// --- showing

function showGone(isGone) {
  if (isGone) {
    const when = now.heard && new Date(now.heard).toLocaleTimeString(lang, {hour: "numeric", minute: "2-digit"});
    show("gone", fill(gone(words, !!when), {when}));
    $("state").dataset.state = "gone";
    show("state-word", words.gone_word);
    show("state-line", "");
  } else {
    show("gone", "");
    if (now.status) showStatus();
  }
}

function showStatus() {
  const status = now.status, missing = status.missing || [];
  show("name", status.name || "Waypost");
  document.title = fill(words.title, {name: status.name || "Waypost"});
  $("state").dataset.state = status.state;
  show("state-word", status.state === "attention" && missing.length > 1
    ? fill(words.attention_more, {n: missing.length}) : words[status.state] || status.state);
  const near = now.peers ? now.peers.length : status.peers;
  show("state-line", near ? count(words.near_line, near) : words.alone_line);
  $("missing").replaceChildren(...missing.map((item) => {
    const where = words.link[item.where] || item.where;
    const text = words.missing[item.code] || words.missing.link;
    return make("li", "", fill(text, {where, text: item.text}));
  }));
  $("missing").hidden = !missing.length;
  if (status.emergency) {
    emergency.show(status.emergency);
    checkin.place(status.emergency.condition.state);
  }
  showFacts(status);
  showPhonePage(status);
  tellNote();
}

function showFacts(status) {
  const key = (status.node || "").slice(0, 16).replace(/(.{4})(?=.)/g, "$1 ");
  const rows = [
    [words.fact_messages, typeof status.messages === "number" && status.messages.toLocaleString(lang)],
    [words.fact_uptime, typeof status.up_s === "number" && timeOf(status.now_ms - status.up_s * 1000)],
    [words.fact_version, status.version],
    [words.fact_node, key && Object.assign(make("code", "", key), {title: status.node})],
  ];
  $("facts").replaceChildren(...rows.filter(([, value]) => value).map(([name, value]) => {
    const row = make("div"), answer = make("dd");
    answer.append(value);
    row.append(make("dt", "", name), answer);
    return row;
  }));
}

// Where the page is that goes over Bluetooth: an address to be opened where there is internet, and kept.
function showPhonePage(status) {
  const address = status.phone_page || "", link = make("a", "", address);
  link.href = address;
  $("phone-page").replaceChildren(words.by_bluetooth + " ", link);
  $("phone-page").hidden = !address.startsWith("https:");
}

function showBoard() {
  const notices = now.notices, fresh = now.seen ? notices.filter((notice) => !now.seen.has(notice.id)) : [];
  const isFresh = new Set(fresh.map((notice) => notice.id));
  $("notices").replaceChildren(...urgentFirst(notices, nodeTime()).map((notice) => noticeCard(notice, isFresh.has(notice.id))));
  show("board-said", notices.length ? "" : words.empty);
  $("older").hidden = notices.length < now.rows || now.rows >= ROWS_MAX;
  if (fresh.length) $("say").textContent = fill(words.new_from, {name: fresh[0].name || words.someone});
  now.seen = new Set(notices.map((notice) => notice.id));
}

function noticeCard(notice, fresh) {
  const urgent = notice.hint && notice.hint.urgent ? " urgent" : "", name = notice.name || words.someone;
  const card = make("li", "notice" + (fresh ? " fresh" : "") + urgent);
  const badge = make("span", "badge tint" + Array.from(notice.name || "").reduce((sum, one) => sum + one.codePointAt(0), 0) % 5,
    notice.name ? Array.from(name)[0].toUpperCase() : "");
  badge.setAttribute("aria-hidden", "true");
  if (!notice.name) badge.className = "badge nobody";
  const head = make("div", "by"), who = make("b", "", name), meta = make("p", "meta"), text = make("p", "text", notice.text);
  who.dir = text.dir = "auto";
  meta.append(timeOf(notice.time_ms), " · " + placeOf(notice) + fateOf(notice));
  head.append(who, meta);
  card.append(badge, head, text, hintOf(notice, words, {make, fill}, mark));
  return card;
}

function placeOf(notice) {
  if (now.status && notice.author === now.status.node) return words.here;
  const peer = (now.peers || []).find((one) => one.node === notice.author);
  return peer && peer.name ? fill(words.via, {name: peer.name}) : words.elsewhere;
}

// What became of a notice of this node's on its radios.
function fateOf(notice) {
  return (notice.radio || []).map((one) => " · " + fill(words.radio[one.state] || one.state, one)).join("");
}

function showPeers() {
  $("peers").replaceChildren(...now.peers.map((peer) => {
    const row = make("li"), name = make("b", "", peer.name || words.unnamed);
    name.dir = "auto";
    const notes = [words.link[peer.link] || peer.link];
    if (peer.member === false) notes.push(words.visitor);
    row.append(name, make("span", "meta", notes.join(" · ")));
    return row;
  }));
  show("near-said", now.peers.length ? "" : words.alone);
  if (now.notices) showBoard();
}

// --- posting

function keep(store, key, value) {
  try {
    if (value === undefined) return window[store].getItem(key) || "";
    window[store].setItem(key, value);
  } catch (error) { /* private mode: nothing is kept */ }
  return "";
}

const size = (text) => new TextEncoder().encode(text).length;

function tellNote() {
  const status = now.status, most = status ? status.text_bytes_max : 4096;
  const left = most - size($("text").value.trim());
  $("text").setAttribute("aria-invalid", String(left < 0));
  if (left < 0) show("text-note", count(words.too_long, -left));
  else if (left < most / 5) show("text-note", count(words.left, left));
  else if (status) show("text-note", count(words.everyone, Math.round(status.ttl_s / 86400)));
}

function said(text, kind) {
  $("post-said").className = "said " + kind;
  $("post-said").textContent = text;
}

function whyNot(error) {
  if (error.code === "rate_limited") return fill(words.errors.rate_limited, {n: error.wait || "10"});
  if (words.errors[error.code]) return words.errors[error.code];
  return error.code ? words.kept + " " + error.message : words.unsure;
}

async function mark(id, urgent) {
  try {
    await ask("/api/mark", {id, urgent});
    await refresh("board");
  } catch (error) {
    $("say").textContent = words.mark_failed;
    if (now.notices) showBoard();
  }
}

async function post(event) {
  event.preventDefault();
  const text = $("text").value.trim(), name = $("from").value.trim(), status = now.status;
  if ($("send").disabled) return;
  if (!text) { said(words.errors.empty, "bad"); $("text").focus(); return; }
  if (status && size(text) > status.text_bytes_max) { $("text").focus(); return; }
  if (status && size(name) > status.name_bytes_max) { said(words.errors.name_long, "bad"); $("from").focus(); return; }
  $("send").disabled = true;
  $("send").textContent = words.posting;
  said("", "");
  try {
    const answer = await ask("/api/board", {text, ...(name && {name}), ...($("urgent").checked && {urgent: true})});
    $("urgent").checked = false;
    if ($("text").value.trim() === text) $("text").value = "";
    keep("sessionStorage", "draft", $("text").value);
    keep("localStorage", "name", name);
    said(answer.raised ? words.raised : words.posted, "good");
    tellNote();
    await refresh("board");
  } catch (error) {
    said(whyNot(error), "bad");
    if (!error.code) refresh("status", "board");
  } finally {
    $("send").disabled = false;
    $("send").textContent = words.post;
  }
}

// --- keeping up: events while the page is looked at, polling when there are none

async function poll() {
  let ok = true;
  if (!document.hidden) {
    ok = await (isFollowing() ? refresh("status", "alerts", "peers")
      : refresh("status", "alerts", "peers", "board", "checkins", "sticks"));
    if (ok) follow(refresh);
  }
  setTimeout(poll, ok ? POLL_MS : RETRY_MS);
}

function begin() {
  document.documentElement.lang = lang;
  document.documentElement.dir = words.dir;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = words[element.dataset.t];
  for (const element of document.querySelectorAll("[data-t-placeholder]")) {
    element.placeholder = words[element.dataset.tPlaceholder];
  }
  show("state-word", words.asking);
  emergency.begin(words.emergency, refresh);
  const lent = {lang, fill, count, make, timeOf, nodeTime, placeOf, keep, whyNot, refresh, self: () => now.status && now.status.node};
  alerts.begin(words.alerts, lent);
  checkin.begin(words.checkin, lent);
  sticks.begin(words.sticks, lent);
  question.begin(words.asking_part, {make, fill});
  $("text").value = keep("sessionStorage", "draft");
  $("from").value = keep("localStorage", "name");
  $("text").addEventListener("input", () => { keep("sessionStorage", "draft", $("text").value); tellNote(); });
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) post(event);
  });
  $("post").addEventListener("submit", post);
  $("older").addEventListener("click", () => { now.rows = Math.min(now.rows + ROWS, ROWS_MAX); refresh("board"); });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) unfollow();
    else { follow(refresh); refresh("status", "alerts"); }
  });
  setInterval(() => { tellTimes(); alerts.tick(); }, 20000);
  setTimeout(poll, reach(refresh, words));
}

begin();
