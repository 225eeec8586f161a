// Asking the library: passages first, then a model's texts as they come, with who wrote them and from what. What packs and
// models say is only ever set as text; a model's [1] becomes a link to the passage, and nothing else does.
import * as node from "./node.js";

const $ = (id) => document.getElementById(id);
let texts, tools, stop = null, count = 0;

function said(text, kind) {
  $("ask-said").className = "said " + kind;
  $("ask-said").textContent = text;
}

function passage(row, number) {
  const item = tools.make("li"), text = tools.make("p", "text"), head = tools.make("b", "", [row.title, row.heading].filter(Boolean).join(" \u203a "));
  item.id = "passage-" + number;
  item.tabIndex = -1;
  head.dir = text.dir = "auto";
  let at = 0;
  for (const [start, end] of row.marks) {
    text.append(row.text.slice(at, start), tools.make("mark", "", row.text.slice(start, end)));
    at = end;
  }
  text.append(row.text.slice(at));
  item.append(head, text, tools.make("p", "meta", row.pack + " \u00b7 " + row.doc + (row.source ? " \u00b7 " + row.source : "")));
  return item;
}

function showPassages(item) {
  count = item.passages.length;
  $("ask-passages").replaceChildren(...item.passages.map((row, i) => passage(row, i + 1)));
  said(item.good ? "" : count ? texts.ask_near : texts.ask_none, item.good ? "" : "bad");
  $("ask-answer").replaceChildren();
}

// The model's texts so far; [n] is a link where there is such a passage.
function showText(text) {
  const parts = text.split(/\[(\d{1,2})\]/);
  $("ask-answer").replaceChildren(...parts.map((part, i) => {
    if (i % 2 === 0) return document.createTextNode(part);
    if (Number(part) < 1 || Number(part) > count) return document.createTextNode("[" + part + "]");
    const link = tools.make("a", "", "[" + part + "]");
    link.href = "#passage-" + Number(part);
    return link;
  }));
}

function showEnd(end, text) {
  const skipped = end.skipped.map((one) => tools.fill(texts.ask_skipped, {who: who(one), why: one.why}));
  let line = "";
  if (text) {
    const seconds = (end.ms / 1000).toLocaleString(document.documentElement.lang, {maximumFractionDigits: 1});
    line = tools.fill(end.cites.length ? texts.ask_served : texts.ask_uncited,
      {who: who(end), model: end.model, s: seconds, cites: end.cites.map((n) => "[" + n + "]").join(" ")});
  }
  $("ask-end").replaceChildren(...[line, ...skipped].filter(Boolean).map((one) => tools.make("p", "meta", one)));
}

function who(one) {
  return one.by === "here" || one.by === "paid" ? texts.ask_who[one.by] : one.name || texts.ask_who[one.by] || one.by;
}

function showState(item) {
  const share = item.of ? ` ${Math.floor(100 * item.done / item.of)} %` : "";
  said((texts.ask_states[item.state] || texts.ask_states.queued) + share, "");
}

async function items(body, take) {
  if (node.stream) return node.stream("/api/ask", body, take, stop.signal);
  const answer = await node.ask("/api/ask", {...body, whole: true}); // a way that can't stream
  take({passages: answer.passages, good: answer.good});
  if (answer.text) take({text: answer.text});
  take({end: answer.end});
}

async function question(event) {
  event.preventDefault();
  if (stop) { stop.abort(); return; }
  const asked = $("ask-text").value.trim();
  if (!asked) { said(texts.ask_empty, "bad"); $("ask-text").focus(); return; }
  stop = new AbortController();
  $("ask-send").textContent = texts.ask_stop;
  said(texts.ask_looking, "");
  $("ask-result").hidden = false;
  for (const id of ["ask-answer", "ask-passages", "ask-end"]) $(id).replaceChildren();
  let text = "", ended = false;
  try {
    await items({question: asked}, (item) => {
      if (item.passages) showPassages(item);
      else if (item.state) showState(item);
      else if (item.text) { text += item.text; said("", ""); showText(text); }
      else if (item.error) throw Object.assign(new Error(item.error.message), item.error);
      else if (item.end) { ended = true; showEnd(item.end, text); }
    });
    if (!ended) throw new Error("cut off");
  } catch (error) {
    if (stop.signal.aborted) said(texts.ask_stopped, "");
    else said(error.code === "rate_limited" ? texts.ask_often : text ? texts.ask_broke : texts.ask_failed, "bad");
  } finally {
    stop = null;
    $("ask-send").textContent = texts.ask_send;
  }
}

// Called once. made: {make, fill} of the page.
export function begin(words, made) {
  texts = words;
  tools = made;
  $("ask-form").addEventListener("submit", question);
}
