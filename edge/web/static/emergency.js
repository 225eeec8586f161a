// How things are, on top of the page and in its colours, and what a person here may do about it: declare an emergency,
// say that it is over, stop the node, let it go on. The node asks back before it does any of it, and so do we.
import {ask} from "./node.js";

const NEWS_S = 3 * 86400;
const $ = (id) => document.getElementById(id);
let texts, refresh, asked = null; // asked: {action, confirm} while a question stands

function set(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).hidden = !text;
}

function reason(part) {
  const known = part.codes.map((code) => (part.over ? texts.over : texts.reasons)[code]);
  return known.length && known.every(Boolean) ? known.join("; ") : part.why;
}

// Called with each status of the node.
export function show(facts) {
  const {condition, reach} = facts;
  const isNews = reach.for_s !== null && reach.for_s < NEWS_S; // where there never is internet, nobody wants to read so
  document.documentElement.dataset.theme = facts.theme;
  set("situation-word", texts.states[condition.state]);
  set("situation-why", condition.state === "calm" ? "" : reason(condition));
  set("situation-reach", isNews && texts.reach[reach.state] && texts.reach[reach.state] + " " + reason(reach) + ".");
  set("situation-stopped", facts.stopped && texts.stopped.replace("{why}", facts.stopped));
  $("situation").hidden = condition.state === "calm" && !facts.stopped && $("situation-reach").hidden;
  $("situation").dataset.grave = String(condition.state === "emergency" || Boolean(facts.stopped));
  $("do-emergency").hidden = facts.person === "emergency";
  $("do-over").hidden = facts.person === "none";
  $("do-stop").hidden = facts.stopped_here;
  $("do-resume").hidden = !facts.stopped_here;
}

function said(text, kind) {
  $("help-said").className = "said " + kind;
  $("help-said").textContent = text;
}

function question(text) {
  set("confirm-question", text);
  $("confirm").hidden = !text;
  $("help-buttons").hidden = Boolean(text);
}

async function send(body) {
  try {
    return await ask("/api/emergency", body);
  } catch (error) {
    question("");
    said((error.code && texts.errors[error.code]) || texts.failed, "bad");
    return null;
  }
}

async function begun(action) {
  said("", "");
  const answer = await send({do: action});
  if (!answer) return;
  asked = {do: action, confirm: answer.confirm};
  question(texts.questions[action]);
  $("confirm-yes").textContent = texts.yes[action];
  $("confirm-no").focus();
}

async function confirmed() {
  if (!asked) return;
  const facts = await send(asked);
  asked = null;
  if (!facts) return;
  question("");
  said(texts.done, "good");
  show(facts);
  refresh("status");
}

// Called once, when the page is there. given: `emergency` of texts.js, in the reader's language.
export function begin(given, again) {
  texts = given;
  refresh = again;
  for (const action of ["emergency", "over", "stop", "resume"]) {
    $("do-" + action).textContent = texts.actions[action];
    $("do-" + action).addEventListener("click", () => begun(action));
  }
  $("confirm-yes").addEventListener("click", confirmed);
  $("confirm-no").textContent = texts.no;
  $("confirm-no").addEventListener("click", () => { asked = null; question(""); said("", ""); });
}
