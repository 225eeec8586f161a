// Every word on the page. To add a language, copy the `en` block, name it by its code (fr, sw, ar ...), and translate
// what stands on the right. {braces} are filled in; one/other (and few, many, ...) are the plural forms that
// Intl.PluralRules knows for the language. Write dir: "rtl" where it is read from right to left.
export const TEXTS = {
  en: {
    dir: "ltr",
    title: "{name} · Waypost",
    tagline: "Messages for the neighbourhood",
    skip: "Go to the notice board",

    asking: "Asking the node …",
    well: "All is well.",
    attention: "Working, with one thing to mend.",
    attention_more: "Working, with {n} things to mend.",
    ill: "Something is wrong.",
    gone_word: "No answer.",
    near_line: {one: "One neighbour is near.", other: "{n} neighbours are near."},
    alone_line: "No neighbour is near just now.",
    gone: "This node does not answer. Are you still on its Wi-Fi? We keep trying; what you see here is from {when}.",
    gone_first: "This node does not answer. Are you still on its Wi-Fi? We keep trying.",

    missing: {
      clock: "The node is not sure what time it is. Times on the board may be off until it meets a neighbour or a clock.",
      store: "The node can't write to its memory card. New notices can't be kept. Please tell the person who looks after it.",
      config: "The node's settings have a mistake, so it runs with safe ones. Please tell the person who looks after it.",
      link: "{where}: {text}",
    },
    link: {lan: "Local network", lora: "Radio", ble: "Bluetooth", web: "This page"},

    write: "Put up a notice",
    write_example: "What should the neighbourhood know?",
    your_name: "Your name (if you like)",
    post: "Post it",
    posting: "Posting …",
    posted: "Done. Your notice is on the board.",
    everyone: {one: "Everyone near can read it, for a day.", other: "Everyone near can read it, for {n} days."},
    left: {one: "One character left.", other: "{n} characters left."},
    too_long: {one: "One character too long.", other: "{n} characters too long."},
    kept: "It was not posted. Your words are still here.",
    unsure: "The node did not answer in time, so we don't know if it was posted. Look at the board before you try again. Your words are still here.",
    errors: {
      rate_limited: "That was a lot in a short time. Please wait {n} seconds, then post again. Your words are still here.",
      capacity_exceeded: "The node is full and can't keep another notice now. Your words are still here.",
      unauthorized: "The node does not take notices from this page.",
      empty: "Write something first.",
      name_long: "That name is too long. Please make it shorter.",
    },

    board: "Notice board",
    older: "Show older notices",
    someone: "Someone",
    empty: "Nothing here yet. Lost a cat? Found a key? Need a hand? Put up the first notice.",
    board_failed: "The board can't be read just now. We keep trying.",
    new_from: "New notice from {name}.",
    here: "here",
    via: "at {name}",
    elsewhere: "from another node",

    near: "Who is near",
    alone: "No other node in reach. Notices are kept here, and passed on when one comes near.",
    near_failed: "We can't tell just now.",
    unnamed: "A node without a name",
    visitor: "not of this community",

    about: "This node",
    about_text: "This page comes from a small box nearby. It needs no internet, no app and no account. Notices travel from box to box; names are as people gave them.",
    fact_messages: "Messages kept",
    fact_uptime: "Started",
    fact_version: "Waypost",
    fact_node: "Key",

    just_now: "just now",
  },
};
