// Check-in: say that somebody is safe or needs help, and see who has said so. Everybody of the community can read it, and
// the page says so before it is sent.
import {ask} from "./node.js";

const $ = (id) => document.getElementById(id);
let texts, tools;

function said(text, kind) {
  $("checkin-said").className = "said " + kind;
  $("checkin-said").textContent = text;
}

function person(row) {
  const item = tools.make("li", row.state), name = tools.make("b", "", row.name), meta = tools.make("span", "meta");
  name.dir = "auto";
  const where = row.where || tools.placeOf(row);
  meta.append(texts.states[row.state] + " \u00b7 " + where + " \u00b7 ", tools.timeOf(row.time_ms));
  item.append(name, meta);
  if (row.note) {
    const note = tools.make("span", "note", row.note);
    note.dir = "auto";
    item.append(note);
  }
  for (const other of row.but) {
    const but = tools.make("span", "meta");
    but.append(tools.fill(texts.but[other.state], {where: other.where || tools.placeOf(other)}), " \u00b7 ", tools.timeOf(other.time_ms));
    item.append(but);
  }
  return item;
}

// In calm times it stands beside the board, otherwise before it; never moved away under somebody's fingers.
export function place(state) {
  const section = $("checkin"), home = document.querySelector(state === "calm" ? "aside" : "main");
  if (section.parentElement !== home && !section.contains(document.activeElement)) home.prepend(section);
}

export function show(answer) {
  const help = answer.people.filter((row) => row.state === "help"), safe = answer.people.filter((row) => row.state === "safe");
  $("checkin-help").replaceChildren(...help.map(person));
  $("checkin-safe").replaceChildren(...safe.map(person));
  $("checkin-safe-part").hidden = !safe.length;
  $("checkin-safe-sum").textContent = tools.count(texts.safe_count, answer.safe);
  const line = answer.help ? tools.count(texts.help_count, answer.help) : "";
  if ($("checkin-line").textContent !== line) $("checkin-line").textContent = line;
  $("checkin-line").hidden = !line;
}

async function checkIn(state) {
  const name = $("checkin-name").value.trim(), note = $("checkin-note").value.trim();
  if (!name) { said(texts.name_missing, "bad"); $("checkin-name").focus(); return; }
  const buttons = [$("checkin-do-safe"), $("checkin-do-help")];
  for (const button of buttons) button.disabled = true;
  try {
    await ask("/api/checkins", {name, state, note});
    $("checkin-note").value = "";
    tools.keep("localStorage", "name", name);
    said(texts.done[state], "good");
    await tools.refresh("checkins");
  } catch (error) {
    said(tools.whyNot(error), "bad");
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

// Called once, when the page is there. given: `checkin` of texts.js in the reader's language. with_: what app.js lends.
export function begin(given, with_) {
  texts = given;
  tools = with_;
  $("checkin-name").value = tools.keep("localStorage", "name");
  $("checkin-form").addEventListener("submit", (event) => { event.preventDefault(); checkIn("safe"); });
  $("checkin-do-help").addEventListener("click", () => checkIn("help"));
}
