// A stick with models is plugged in: what is on it, and a button that copies one into the node.
import {ask} from "./node.js";

const $ = (id) => document.getElementById(id);
let texts, tools;

function line(offer) {
  const item = tools.make("li"), name = tools.make("b", "", offer.name);
  const mb = (bytes) => (bytes / 1e6).toLocaleString(tools.lang, {maximumFractionDigits: bytes < 1e7 ? 1 : 0});
  name.dir = "auto";
  item.append(name, tools.make("span", "meta", " " + tools.fill(texts.size, {n: mb(offer.bytes)})));
  if (offer.here || offer.have !== null) {
    item.append(tools.make("span", "meta", " \u00b7 " + (offer.here ? texts.here
      : tools.fill(texts.copying, {n: Math.floor(100 * offer.have / offer.bytes)}))));
    if (!offer.here) setTimeout(() => tools.refresh("sticks"), 1000);
  } else {
    const button = tools.make("button", "", texts.take);
    button.type = "button";
    button.addEventListener("click", () => { button.disabled = true; take(offer.offer); });
    item.append(button);
  }
  return item;
}

async function take(offer) {
  try {
    await ask("/api/sticks", {offer});
    $("sticks-said").textContent = "";
  } catch (error) {
    $("sticks-said").textContent = tools.whyNot(error);
  }
  tools.refresh("sticks");
}

export function show(answer) {
  $("sticks").hidden = !answer.offers.length;
  $("sticks-list").replaceChildren(...answer.offers.map(line));
}

export function begin(given, with_) {
  texts = given;
  tools = with_;
}
