// What triage says of a notice, and the buttons with which a person says otherwise. A hint raises and explains: it never
// hides anything, and what a person says wins. All words are in texts.js; reasons are quoted as text only.

const URGENT_S = 2 * 86400; // for so long a call for help stands above the other notices

// Calls for help first, the newest first among them; all others as they came.
export function urgentFirst(notices, nowMs) {
  const isFirst = (notice) => notice.hint && notice.hint.urgent && nowMs - notice.time_ms < URGENT_S * 1000;
  return [...notices.filter(isFirst), ...notices.filter((notice) => !isFirst(notice))];
}

// The elements below a notice's text. mark(id, urgent) sends a person's word: true, false, or null to take it back.
export function hintOf(notice, words, {make, fill}, mark) {
  const hint = notice.hint, line = make("div", "hint");
  const button = (text, urgent) => {
    const one = make("button", "word", text);
    one.type = "button";
    one.addEventListener("click", () => { one.disabled = true; mark(notice.id, urgent); });
    return one;
  };
  if (!hint) {
    line.append(button(words.mark_yes, true));
    return line;
  }
  const said = make("p", "", hint.by === "person" ? personSays(hint, words, fill) : hint.urgent ? words.hint_urgent : "");
  said.dir = "auto";
  if (said.textContent) line.append(said);
  const about = hint.labels.filter((label) => label !== "urgent").map((label) => words.labels[label] || label);
  const why = reasons(hint, words);
  if (about.length) line.append(make("p", "meta", about.join(" \u00b7 ") + (why ? " \u2013 " + fill(words.hint_why, {why}) : "")));
  line.append(...(hint.by === "person" ? [button(words.mark_undo, null)] : [button(hint.urgent ? words.mark_no : words.mark_yes, !hint.urgent)]));
  return line;
}

function personSays(hint, words, fill) {
  const text = hint.urgent ? words.person_yes : words.person_no;
  return fill(text, {name: hint.name || words.someone});
}

// The words of the text that spoke for the gravest label, as it stands in the text.
function reasons(hint, words) {
  const label = hint.why && ["urgent", ...hint.labels].find((one) => hint.why[one]);
  return label ? hint.why[label].map(([, said]) => words.quote_open + said + words.quote_close).join(", ") : "";
}
