// Alerts on top of the page: official ones and what neighbours report, never to be taken for one another, and what a
// person here may do about them: confirm, dispute, report a danger. Texts of others are only ever set as textContent.
import {ask} from "./node.js";

const $ = (id) => document.getElementById(id);
let texts, tools, known = null, rows = [];

function set(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).hidden = !text;
}

// The texts in the reader's language where there are such, else the first.
function textOf(row) {
  const short = (tag) => (tag || "").toLowerCase().split("-")[0];
  return row.texts.find((text) => short(text.language) === short(tools.lang)) || row.texts[0] || {};
}

function untilOf(row) {
  const end = new Date(row.expires_s * 1000), sameDay = end.toDateString() === new Date(tools.nodeTime()).toDateString();
  return tools.fill(texts.until, {when: end.toLocaleString(tools.lang, sameDay
    ? {hour: "numeric", minute: "2-digit"} : {weekday: "long", day: "numeric", month: "long", hour: "numeric", minute: "2-digit"})});
}

// A circle, as the node says it in English, in the reader's language.
function areaOf(area) {
  const circle = /^([\d.]+) km around (-?[\d.]+),(-?[\d.]+)$/.exec(area);
  if (!circle) return area;
  const number = (text, digits) => Number(text).toLocaleString(tools.lang, {maximumFractionDigits: digits});
  return tools.fill(texts.circle, {km: number(circle[1], 1), lat: number(circle[2], 3), lon: number(circle[3], 3)});
}

function judging(row) {
  const bar = tools.make("div", "judging"), said = tools.make("span", "meta");
  const counts = [];
  if (row.confirm) counts.push(tools.count(texts.confirmed, row.confirm));
  if (row.dispute) counts.push(tools.count(texts.disputed, row.dispute));
  said.textContent = counts.join(" \u00b7 ") || texts.nobody_yet;
  bar.append(said);
  if (row.author === tools.self()) return bar;
  for (const stance of ["confirm", "dispute"]) {
    const button = tools.make("button", "small quiet", row.stance === stance ? texts.taken[stance] : texts.stances[stance]);
    button.type = "button";
    button.setAttribute("aria-pressed", String(row.stance === stance));
    button.addEventListener("click", () => judge(row, row.stance === stance ? "withdraw" : stance, button));
    bar.append(button);
  }
  return bar;
}

async function judge(row, stance, button) {
  button.disabled = true;
  try {
    await ask("/api/judge", {id: row.id, stance});
    await tools.refresh("alerts");
  } catch (error) {
    button.disabled = false;
    $("say").textContent = texts.judge_failed;
    button.textContent = texts.again;
  }
}

function card(row) {
  const text = textOf(row), exercise = row.status !== "Actual", lang = text.language || "";
  const item = tools.make("li", "alert " + (row.official ? "official" : "report") + (exercise ? " exercise" : ""));
  item.dataset.grave = row.grave;
  item.dataset.here = String(row.here);
  const label = tools.make("p", "label", exercise ? texts.exercise : row.official ? texts.official : texts.report);
  const head = tools.make("h3", "", text.headline || text.event || texts.no_text);
  item.append(label, head);
  const say = (className, content) => {
    if (!content) return;
    const part = tools.make("p", className, content);
    part.dir = "auto";
    if (lang) part.lang = lang;
    item.append(part);
  };
  head.dir = "auto";
  if (lang) head.lang = lang;
  if (row.official && texts.responses[row.response]) say("response", texts.responses[row.response]);
  say("instruction", text.instruction);
  if (row.areas.length) say("meta", tools.fill(texts.area, {area: row.areas.map(areaOf).join("; ")}));
  if (row.here === null && row.areas.length) say("meta", texts.here_unknown);
  if (text.description) {
    const more = tools.make("details"), sum = tools.make("summary", "", texts.more), body = tools.make("p", "text", text.description);
    body.dir = "auto";
    more.append(sum, body);
    item.append(more);
  }
  const by = tools.make("p", "meta");
  const issuer = text.issuer || tools.placeOf(row);
  by.append(issuer, " \u00b7 ", tools.timeOf(row.time_ms), " \u00b7 ", untilOf(row));
  item.append(by, judging(row));
  return item;
}

export function show(answer) {
  rows = answer.alerts;
  const now_s = tools.nodeTime() / 1000, standing = rows.filter((row) => row.expires_s > now_s);
  const far = standing.filter((row) => row.here === false), near = standing.filter((row) => row.here !== false);
  $("alerts-near").replaceChildren(...near.map(card));
  $("alerts-far").replaceChildren(...far.map(card));
  $("alerts-elsewhere").hidden = !far.length;
  set("alerts-elsewhere-sum", far.length ? tools.count(texts.elsewhere, far.length) : "");
  $("alerts").hidden = !standing.length;
  const fresh = known && near.find((row) => row.official && !known.has(row.id));
  if (fresh) $("alarm").textContent = texts.official + ": " + (textOf(fresh).headline || "");
  known = new Set(standing.map((row) => row.id));
}

// Called from time to time: what has ended goes, also while the node does not answer.
export function tick() {
  if (rows.some((row) => row.expires_s <= tools.nodeTime() / 1000)) show({alerts: rows});
}

async function report(event) {
  event.preventDefault();
  const headline = $("danger").value.trim(), said = (text, kind) => {
    $("danger-said").className = "said " + kind;
    $("danger-said").textContent = text;
  };
  if (!headline) { said(texts.danger_empty, "bad"); $("danger").focus(); return; }
  $("danger-send").disabled = true;
  try {
    await ask("/api/alerts", {headline, name: $("from").value.trim(), severity: $("danger-severity").value});
    $("danger").value = "";
    said(texts.danger_sent, "good");
    await tools.refresh("alerts");
  } catch (error) {
    said(tools.whyNot(error), "bad");
  } finally {
    $("danger-send").disabled = false;
  }
}

// Called once, when the page is there. given: `alerts` of texts.js in the reader's language. with_: what app.js lends.
export function begin(given, with_) {
  texts = given;
  tools = with_;
  $("danger-severity").replaceChildren(...["Extreme", "Severe", "Moderate"].map((word) => {
    const option = tools.make("option", "", texts.severities[word]);
    option.value = word;
    return option;
  }));
  $("danger-severity").value = "Severe";
  $("danger-form").addEventListener("submit", report);
}
