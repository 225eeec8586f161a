// How the page reaches its node: over HTTP from the node itself, changes told by an event stream while somebody looks.
// The static build for phones (tools/page_cli.py) has another module of this name and face, which goes over Bluetooth.
const ASK_MS = 9000;
let events = null;

// What is said of a node that does not answer (any more, or has never).
export const gone = (words, ever) => ever ? words.gone : words.gone_first;
export const POLL_MS = 30000; // how often to ask while nothing tells of changes
export const ROWS = 30; // notices asked for at once

export async function ask(path, body) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), ASK_MS);
  try {
    const options = {signal: stop.signal, cache: "no-store", credentials: "omit"};
    if (body) {
      options.method = "POST";
      options.headers = {"Content-Type": "application/json"};
      options.body = JSON.stringify(body);
    }
    const answer = await fetch(path, options);
    const value = await answer.json();
    if (answer.ok) return value;
    throw Object.assign(new Error(value.error.message), value.error, {wait: answer.headers.get("Retry-After")});
  } finally {
    clearTimeout(timer);
  }
}

// An answer that comes in lines of JSON: take(item) for each as it comes. signal: to hang up.
export async function stream(path, body, take, signal) {
  const headers = {"Content-Type": "application/json"};
  const answer = await fetch(path, {method: "POST", headers, body: JSON.stringify(body), cache: "no-store", credentials: "omit", signal});
  if (!answer.ok) throw Object.assign(new Error(answer.status), (await answer.json()).error);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {done, value} = await reader.read();
    const lines = (rest + (value || "")).split("\n");
    rest = lines.pop();
    for (const line of lines) take(JSON.parse(line));
    if (done) return;
  }
}

// Whether changes are told; then `refresh(...names)` is called for them.
export const isFollowing = () => events !== null && events.readyState === EventSource.OPEN;

export function follow(refresh) {
  if (events || document.hidden || !window.EventSource) return;
  const stream = events = new EventSource("/api/events");
  stream.addEventListener("hello", () => refresh("status", "alerts", "peers", "board", "checkins", "sticks"));
  for (const name of ["board", "peers", "status", "alerts", "checkins", "sticks"]) {
    stream.addEventListener(name, () => refresh(name));
  }
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED) unfollow();
  };
}

export function unfollow() {
  if (events) events.close();
  events = null;
}

// Called once, when the page is there. Gives in how many milliseconds it should ask for the first time.
export function begin(refresh) {
  follow(refresh);
  return events ? 1000 : 0; // the stream's hello asks for everything, and sooner
}
