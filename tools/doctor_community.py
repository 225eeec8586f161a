"""What `waypost doctor` looks at of the community: its stewards, where this node stands, the feed, and stray keys."""

from __future__ import annotations

import os
import stat

from edge import keys
from edge.compat import crypto
from edge.errors import ConfigError, KeyFileError
from edge.services.papers import stewards_of
from tools.doctor_host import BROKEN, NOTE, OK, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.settings import Config

FILES_MAX = 200
KEY_FILE_BYTES = range(64, 67)


def community(directory: str, config: Config) -> list[Finding]:
    """Nothing where neither stewards nor a feed are set."""
    found: list[Finding] = []
    if config["community.stewards"]:
        found += [_stewards(config), *_place(config), *_strays(directory, config)]
    feed = config["alerts.feed"]
    if feed and not (os.path.isdir(feed) and os.access(feed, os.R_OK | os.X_OK)):
        found.append(Finding("feed", BROKEN, f"{feed} is no directory that can be read",
                             "make it, or set alerts.feed to another"))
    return found


def _stewards(config: Config) -> Finding:
    try:
        root = stewards_of(config.section("community"))
    except ConfigError as error:
        return Finding("stewards", BROKEN, str(error), "set community.stewards and community.stewards_needed")
    return Finding("stewards", OK, f"{root.needed} of {len(root.keys)} must sign, in \"{root.name}\"")


def _place(config: Config) -> list[Finding]:
    if config["alerts.position"] or config["alerts.places"]:
        return []
    return [Finding("place", NOTE, "this node was not told where it stands: every alert may be for it",
                    "set alerts.position and alerts.places")]


def _strays(directory: str, config: Config) -> list[Finding]:
    """Key files of stewards that lie on this node."""
    wanted = {one.lower() for one in config["community.stewards"]}
    found = []
    try:
        names = sorted(os.listdir(directory))[:FILES_MAX]
    except OSError:
        return []
    for name in names:
        path = os.path.join(directory, name)
        try:
            facts = os.lstat(path)
            if stat.S_ISREG(facts.st_mode) and facts.st_size in KEY_FILE_BYTES:
                public = crypto.public_key(keys.read(path)).hex()
                if public in wanted:
                    found.append(Finding("stewards", BROKEN, f"{path} is the key of a steward",
                                         "move it away from this node: whoever gets the node gets it"))
        except (OSError, KeyFileError):
            pass  # no key file of ours
    return found
