"""Shell completion for bash, zsh and fish, made from the parser so that it can't be out of date.

It completes commands, verbs and flags, and files where a file is asked for. It never talks to a node: completion must
not hang.
"""

from __future__ import annotations

import argparse

Words = dict[str, list[tuple[str, str]]]  # "" or "board" or "board post" -> [(word, help)]


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The completion script of `shell` (bash, zsh or fish)."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](words(parser))


def words(parser: argparse.ArgumentParser, path: str = "") -> Words:
    """What may follow each command path, in the parser's order."""
    out: Words = {path: []}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, below in action.choices.items():
                out[path].append((name, helps.get(name, "")))
                out.update(words(below, f"{path} {name}".strip()))
        elif action.option_strings:
            out[path].append((action.option_strings[-1], action.help or ""))
        elif action.choices:
            out[path].extend((str(choice), "") for choice in action.choices)
    return out


def _bash(found: Words) -> str:
    cases = "".join(f'    "{path}") offer="{" ".join(word for word, _ in options)}" ;;\n'
                    for path, options in found.items())
    return _BASH.replace("PATHS", _paths(found)).replace("CASES", cases)


def _zsh(found: Words) -> str:
    cases = ""
    for path, options in found.items():
        offer = " ".join(_quoted(word.replace(":", r"\:") + (":" + text if text else "")) for word, text in options)
        cases += f"    '{path}') offer=({offer}) ;;\n"
    return _ZSH.replace("PATHS", _paths(found)).replace("CASES", cases)


def _fish(found: Words) -> str:
    lines = [_FISH.replace("PATHS", _paths(found))]
    for path, options in found.items():
        for word, text in options:
            flag = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            if word in ("--dir", "--set"):
                flag += " -r"
            about = f" -d {_quoted(text)}" if text else ""
            lines.append(f"complete -c waypost -n '__waypost_at {path}' {flag}{about}\n".replace("_at '", "_at'"))
    return "".join(lines)


def _paths(found: Words) -> str:
    return " ".join(path.replace(" ", "/") for path in found if path)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_BASH = r"""# bash completion for waypost: put this into ~/.local/share/bash-completion/completions/waypost
_waypost() {
  local current="${COMP_WORDS[COMP_CWORD]}" at="" offer="" i next
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${COMP_WORDS[i]}" in
      --dir|--set) ((i++)) ;;
      -*) ;;
      *)
        next="${at:+$at/}${COMP_WORDS[i]}"
        case " PATHS " in *" $next "*) at="$next" ;; esac ;;
    esac
  done
  case "${at/\// }" in
CASES  esac
  if [ "${COMP_WORDS[COMP_CWORD-1]}" = --dir ]; then
    COMPREPLY=($(compgen -d -- "$current"))
    return
  fi
  COMPREPLY=($(compgen -W "$offer" -- "$current"))
}
complete -o default -F _waypost waypost
"""

_ZSH = r"""#compdef waypost
# zsh completion for waypost: put this into a folder of $fpath as _waypost
_waypost() {
  local at="" next="" i
  local -a offer known
  known=(PATHS)
  for ((i = 2; i < CURRENT; i++)); do
    case "${words[i]}" in
      --dir|--set) ((i++)) ;;
      -*) ;;
      *)
        next="${at:+$at/}${words[i]}"
        (( ${known[(Ie)$next]} )) && at="$next" ;;
    esac
  done
  case "${at/\// }" in
CASES  esac
  if [[ "${words[CURRENT-1]}" == --dir ]]; then
    _files -/
  else
    _describe waypost offer || _files
  fi
}
compdef _waypost waypost
"""

_FISH = r"""# fish completion for waypost: put this into ~/.config/fish/completions/waypost.fish
function __waypost_at
    set -l at
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case --dir --set
                set skip 1
            case '-*'
                continue
            case '*'
                if contains -- (string join / $at $word) PATHS
                    set -a at $word
                end
        end
    end
    test "$at" = "$argv"
end
"""
