"""What the console offers: commands that help a person with a cable, by the names that they will try.

One table. A command that the command line does not have in this version is left out, so that help never promises what
is not there.
"""

from __future__ import annotations

from edge.console.words import Verb
from tools import cli_args
from tools.completion import Words, words

_VERBS = (
    Verb("status", "status", "how the node is"),
    Verb("why", "why", "why it is in the state that it is in"),
    Verb("declare", "declare", "say as a person how things are: watch, emergency, over"),
    Verb("doctor", "doctor", "look for what is broken and how to mend it"),
    Verb("repair", "repair --yes", "mend what can be mended by itself; nothing is deleted",
         question="This puts the modes and owners of the node's files right, and moves a damaged database aside, so "
                  "that the node begins with an empty one. Nothing is deleted. Type yes to go on."),
    Verb("peers", "peers", "the neighbours"),
    Verb("radios", "radio", "the radios: list, test, watch, airtime", alone="radio list"),
    Verb("net", "net", "network interfaces, addresses, way out"),
    Verb("wifi", "wifi", "the Wi-Fi of this box"),
    Verb("board", "board", "the notice board: list, post; alone: what this machine is", alone="hardware show"),
    Verb("hardware", "hardware", "what this machine is: show, list, check", alone="hardware check"),
    Verb("alert", "alert", "alerts: list, send, import, cancel", alone="alert list", when="send cancel",
         question="This goes out to everybody, and who has read it has read it. Type yes to go on."),
    Verb("checkin", "checkin", "who is safe and who needs help", alone="checkin list"),
    Verb("send", "send", "send a direct message: send NODE TEXT", rest=1),
    Verb("inbox", "inbox", "direct messages to this node"),
    Verb("messages", "messages", "whatever the node holds, newest first"),
    Verb("ask", "ask", "ask a question: ask TEXT", rest=0),
    Verb("model", "model", "models: list, info, add, remove", alone="model list", when="remove",
         question="This deletes the model from this box. Type yes to go on."),
    Verb("pack", "pack", "knowledge packs: list, search, add, remove", alone="pack list", when="remove",
         question="This deletes the pack from this box. Type yes to go on."),
    Verb("stop", "stop", "stop models and relaying; alerts, beacons and this console go on",
         question="This stops models and relaying until somebody types resume. Type yes to go on."),
    Verb("resume", "resume", "end a stop that was made here"),
    Verb("halt", "halt", "the halt of the community: show, send", alone="halt show", when="send",
         question="This halts, or ends the halt of, every box of the community. Type yes to go on."),
    Verb("cert", "cert", "who may issue official alerts: list, add", alone="cert list"),
    Verb("log", "log", "the last lines of the log"),
    Verb("tail", "log --follow", "follow the log; ^C ends"),
    Verb("trace", "trace", "what the node did last"),
    Verb("top", "top", "the node at a glance", alone="top --once"),
    Verb("disk", "disk", "room and health of the card"),
    Verb("time", "time", "the clock, and how sure it is: --set 'YYYY-MM-DD HH:MM'", when="--set",
         question="Messages carry this clock's time, and neighbours may take it over. Type yes to set it."),
    Verb("keys", "keys", "the node's public key"),
    Verb("backup", "backup", "copy messages (or --identity) to a USB stick; --restore", when="--restore",
         question="This puts what was copied in the place of what the node has now, which is moved aside; the node "
                  "stands still for it. Type yes to go on."),
    Verb("stick", "stick", "what is on the USB stick, and where; --out: it can be pulled out"),
    Verb("export", "export", "write messages to a USB stick, for another node"),
    Verb("import", "import", "take messages in from a USB stick"),
    Verb("update", "update", "the running version; put another one in, or go back", alone="update status", when="apply",
         question="This writes another system to the card, takes minutes, and restarts the box into it, on trial. Type "
                  "yes to go on."),
    Verb("restart", "restart --yes", "restart the node", question="This restarts the node. Type yes to go on."),
    Verb("reboot", "reboot --yes", "restart the whole box", question="This restarts the whole box. Type yes to go on."),
    Verb("factory-reset", "factory-reset --yes", "forget everything: keys, messages, settings made here",
         question="This destroys this node's identity and every message that only it holds. It can't be undone.\n"
                  "Type the node's name to go on: NAME"),
    Verb("version", "version", "which version this is"),
)


def verbs() -> list[Verb]:
    """Those that this version has."""
    there = {row[0] for row in cli_args._COMMANDS}
    return [verb for verb in _VERBS if verb.words[0] in there]


class Completer:
    """Tab at the console: the command's name, then what the command line knows of its words."""

    def __init__(self, offered: list[Verb]) -> None:
        self._offered = offered
        self._words: Words | None = None

    def __call__(self, text: str) -> list[str]:
        """The words that may stand where `text` ends."""
        typed = text.removeprefix("waypost ").split(" ")[:-1]
        if not typed:
            return [*(verb.name for verb in self._offered), "help", "exit"]
        verb = next((one for one in self._offered if typed[0] in (one.name, " ".join(one.words))), None)
        if verb is None:
            return [one.name for one in self._offered] if typed == ["help"] else []
        if self._words is None:
            self._words = words(cli_args.build_parser())
        path = [verb.words[0]]
        for word in typed[1:]:
            if " ".join([*path, word]) in self._words:
                path.append(word)
        return [word for word, _ in self._words.get(" ".join(path), ())]
