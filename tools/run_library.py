"""The library of a running node, put together; and its index, made before the node starts.

`prepare` runs in the process of the command, which may import what it likes; `provide` in the lean one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.bus.bus import Bus
    from edge.library.desk import Desk
    from edge.node import Node
    from edge.services.waterfall import Waterfall
    from edge.settings import Config


def prepare(directory: str, settings: Config) -> list[str]:
    """Bring the index up to date with the packs that are there; what is wrong, in words."""
    from edge.errors import PackError
    from edge.library import shelf

    try:
        return [str(problem) for problem in shelf.ensure(directory, built_in=settings["library.built_in"])]
    except PackError as error:
        return [str(error)]
    except OSError as error:
        return [f"the library's index can't be made: {error.strerror}: {error.filename}"]


def provide(directory: str, config: Config, node: Node, bus: Bus, problems: list[str]) -> Desk:
    """Put the library's capabilities on the bus; the desk is closed at the end. problems: what `prepare` gave."""
    from edge.library.desk import PART, Desk
    from edge.services.ask import Ask

    def waterfall() -> Waterfall:
        from edge.services.waterfall import Waterfall

        return Waterfall(bus, node, tuple([bytes.fromhex(text) for text in config["library.hubs"]]), paid)

    if problems:
        node.trouble(PART, "pack", problems[0])
    desk = Desk(directory, node.trouble)
    paid = _provide_paid(config, node, bus)
    ask = Ask(bus, node.key, desk, waterfall, config["models.context"], sums_up=config["library.models"])
    for service in ask.services():
        service.provide(bus)
    return desk


def _provide_paid(config: Config, node: Node, bus: Bus) -> str:
    """Offer the paid model, where there is one: its name, or ""."""
    url, key, tokens = (config["library.paid_" + name] for name in ("url", "key", "tokens_day"))
    if not (url and key and tokens):
        return ""
    from edge.services.paid import Paid

    try:
        paid = Paid(node.budget, url, key, config["library.paid_model"], tokens)
    except ValueError as error:
        node.trouble("library.paid_url", "config", f"library.paid_url {error}; the paid model is off")
        return ""
    paid.service().provide(bus)
    return paid.name
