"""What becomes of an alert on its way to a message: the short form, its life, and the details that it can't hold.

From a CAP alert, or from what an operator typed; both end as the same bodies. And the way back: what a short form and
its details say together, whom they are for and how grave that is. PROTOCOL 18. It posts nothing and asks no clock.
"""

from __future__ import annotations

from edge.compat.hashing import sha256
from edge.core import airtext, alert, cbor, limits, place, sphere
from edge.services import captime, captree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.services.captree import Tree

TTL_S_DEFAULT = 86400  # after it was sent, of an alert that says nothing of its end
QUIET, WATCH, EMERGENCY = 0, 1, 2  # how grave: edge.ports.AlertsPort
_SEVERE, _MODERATE = alert.SEVERITIES.index("Severe"), alert.SEVERITIES.index("Moderate")
_POSSIBLE = alert.CERTAINTIES.index("Possible")
_NOT_NOW = (alert.URGENCIES.index("Unknown"), alert.URGENCIES.index("Past"))
_ALL_CLEAR = alert.RESPONSES.index("AllClear")


class Place:
    """Where this node is: lat and lon in microdegrees or None, and the names by which alerts may call it."""

    def __init__(self, position: str = "", names: list[str] | None = None) -> None:
        self.names = names or []
        self.lat: int | None = None
        self.lon: int | None = None
        if position:
            self.lat, self.lon = place.degrees(position)

    def __bool__(self) -> bool:
        return self.lat is not None or bool(self.names)


class Form:
    """An alert ready to be sent. body: the short form. ends_s: Unix seconds at which it ends, or None where it doesn't
    say. cut: whether something had to be left out of the short form. tree: the details, or None for none."""

    def __init__(self, body: dict[int, Any], ends_s: int | None, cut: bool, tree: Tree | None) -> None:
        self.body = body
        self.ends_s = ends_s
        self.cut = cut
        self.tree = tree

    def air_bytes(self) -> int:
        """What the body takes on a radio."""
        return len(airtext.shrink(cbor.encode(self.body))[1])

    def details(self, id: bytes) -> dict[int, Any] | None:
        """The body of the details behind the ALERT `id`; None where there are none, or they are too long to carry."""
        if self.tree is None:
            return None
        body = {alert.OF: id[:alert.ID_BYTES], alert.TREE: self.tree}
        return body if len(cbor.encode(body)) <= limits.BODY_BYTES_MAX else None


def of_cap(tree: Tree, refers_to: list[bytes]) -> Form:
    """The Form of a CAP alert (checked by captree.check). refers_to: ids of our ALERTs that its references mean."""
    infos = tree.get(captree.INFO, [])
    gravest: Tree = max(infos, key=lambda info: alert.SEVERITIES.index(info[captree.SEVERITY]), default={})
    said = {"status": tree[captree.STATUS]}
    for name, number in (("severity", captree.SEVERITY), ("urgency", captree.URGENCY),
                         ("certainty", captree.CERTAINTY)):
        said[name] = gravest.get(number, "")
    for name, number in (("category", captree.CATEGORY), ("response", captree.RESPONSE)):
        said[name] = (gravest.get(number) or [""])[0]
    event = gravest.get(captree.EVENT, "")
    kind = {"Update": alert.UPDATE, "Cancel": alert.CANCEL}.get(tree[captree.MSG_TYPE], 0)
    headline = gravest.get(captree.HEADLINE) or event or f"Alert by {tree[captree.SENDER]}"
    more = {
        "official": True, "issuer": gravest.get(captree.SENDER_NAME, ""),
        "instruction": gravest.get(captree.INSTRUCTION, ""),
        "language": gravest.get(captree.LANGUAGE, ""), "onset_s": captime.seconds(gravest.get(captree.ONSET)),
        "event": event if event.lower() not in headline.lower() else "",
        "cap": cap_bytes(captree.identity(tree))}
    if kind and refers_to:
        more["references"] = [kind, *[id[:alert.ID_BYTES] for id in refers_to[:limits.ALERT_REFS_MAX]]]
    ends = [captime.seconds(info[captree.EXPIRES]) or 0 for info in infos if captree.EXPIRES in info]
    if not ends or len(ends) < len(infos):
        ends.append((captime.seconds(tree[captree.SENT]) or 0) + TTL_S_DEFAULT)
    return _fitted(headline, said, _areas(infos), more, max(ends), tree)


def of_words(words: dict[str, Any]) -> Form:
    """The Form of what an operator typed: headline and the names of alert.body_of, severity and the other codes,
    description, and areas as texts ("LAT,LON KILOMETRES", "#geohash" or a name). Raises ValueError."""
    more = {name: words.get(name) for name in ("issuer", "instruction", "language", "references", "official", "event",
                                               "onset_s")}
    said = {name: words.get(name) for name, _known in alert.CODES}
    areas = [_area(text) for text in words.get("areas") or ()]
    whole = alert.Short(alert.body_of(words["headline"], alert.codes_of(said), areas, **more))
    tree = {captree.INFO: [info_of(whole, words.get("description") or "")]}
    form = _fitted(words["headline"], said, areas, more, None, tree)
    if not form.cut and not words.get("description"):
        form.tree = None
    return form


def info_of(short: alert.Short, description: str = "") -> Tree:
    """All that a short form says as an info of CAP."""
    info: Tree = {captree.CATEGORY: [alert.CATEGORIES[short.codes["category"]]],
                  captree.EVENT: short.event or short.headline or "Cancelled",
                  captree.URGENCY: alert.URGENCIES[short.codes["urgency"]],
                  captree.SEVERITY: alert.SEVERITIES[short.codes["severity"]],
                  captree.CERTAINTY: alert.CERTAINTIES[short.codes["certainty"]]}
    if short.codes["response"]:
        info[captree.RESPONSE] = [alert.RESPONSES[short.codes["response"]]]
    if short.onset_s is not None:
        info[captree.ONSET] = captime.text(short.onset_s)
    for number, text in ((captree.LANGUAGE, short.language), (captree.SENDER_NAME, short.issuer),
                         (captree.HEADLINE, short.headline), (captree.DESCRIPTION, description),
                         (captree.INSTRUCTION, short.instruction)):
        if text:
            info[number] = text
    areas = [_area_of(one) for one in short.areas]
    if areas:
        info[captree.AREA] = areas
    return info


def _area_of(one: Any) -> Tree:
    if not isinstance(one, str):
        text = f"{place.show(one[0], one[1])} {place.kilometres(one[2])}"
        return {captree.AREA_DESC: sphere.said(*one), captree.CIRCLE: [text]}
    if one[:1] == "#":
        return {captree.AREA_DESC: one, captree.GEOCODE: [captree.GEOHASH, one[1:]]}
    return {captree.AREA_DESC: one}


def cap_bytes(identity: str) -> bytes:
    """The 6 bytes that stand for a CAP alert's "sender,identifier,sent"."""
    return bytes(sha256(identity.encode())[:alert.CAP_BYTES])


def infos_of(short: alert.Short, tree: Tree | None) -> list[Tree]:
    """What is said, one tree of CAP's info a language: of the details where they are there, else of the short form."""
    own = info_of(short)
    return [own | info for info in (tree or {}).get(captree.INFO) or [{}]]


def grave_here(short: alert.Short, tree: Tree | None, here: Place) -> tuple[bool | None, int]:
    """(whether it is for this place, None where that can't be told; how grave it is then: QUIET, WATCH, EMERGENCY)."""
    parts = [(short.codes, short.areas)]
    infos = [info for info in (tree or {}).get(captree.INFO, ()) if captree.SEVERITY in info]
    if infos:
        parts = [(_codes(info, short.codes["status"]), info.get(captree.AREA, ())) for info in infos]
    answers: list[tuple[bool | None, int]] = []
    for codes, areas in parts:
        covered = alert.covers(areas, here.lat, here.lon, here.names) if not infos else _covered(areas, here)
        answers.append((covered, _grave(codes) if covered is not False else QUIET))
    found = [covered for covered, _grave in answers]
    return True if True in found else None if None in found else False, max(grave for _covered, grave in answers)


def _grave(codes: dict[str, int]) -> int:
    """How grave an alert with these codes is where it is for."""
    if codes["status"] or codes["response"] == _ALL_CLEAR or codes["severity"] < _MODERATE:
        return QUIET
    if codes["severity"] >= _SEVERE and codes["certainty"] >= _POSSIBLE and codes["urgency"] not in _NOT_NOW:
        return EMERGENCY
    return WATCH


def _codes(info: Tree, status: int) -> dict[str, int]:
    return {"status": status, "severity": alert.SEVERITIES.index(info[captree.SEVERITY]),
            "urgency": alert.URGENCIES.index(info[captree.URGENCY]),
            "certainty": alert.CERTAINTIES.index(info[captree.CERTAINTY]),
            "response": alert.RESPONSES.index((info.get(captree.RESPONSE) or [""])[0])}


def _covered(areas: list[Tree], here: Place) -> bool | None:
    """The same as alert.covers, for areas of CAP: of one that has a shape the name says nothing to a known position."""
    found = []
    for area in areas:
        shapes = list(captree.shapes(area))
        exact = [shape for kind, shape in shapes if kind != "name"]
        names = [] if exact and here.lat is not None else [shape for kind, shape in shapes if kind == "name"]
        found.append(alert.covers(exact + names, here.lat, here.lon, here.names))
    if not found or True in found:
        return True
    return None if None in found else False


def _areas(infos: list[Tree]) -> list[Any]:
    """The areas of all infos for the short form, circles first, each once."""
    circles: list[Any] = []
    names: list[str] = []
    for area in [area for info in infos for area in info.get(captree.AREA, ())]:
        found = list(captree.shapes(area))
        shapes = [sphere.covering(shape) if kind == "polygon" else shape for kind, shape in found if kind != "name"]
        circles += [one for one in shapes if one not in circles]
        told = [shape for kind, shape in found if kind == "name"]
        names += told[1:] if shapes else told  # areaDesc says in words what the shapes say
    if len(circles) > limits.ALERT_AREAS_MAX // 4:
        circles = [_around(circles)]
    short_names = [one for one in dict.fromkeys(names) if 0 < len(one.encode()) <= limits.ALERT_NAME_BYTES_MAX]
    return (circles + short_names)[:limits.ALERT_AREAS_MAX]


def _around(circles: list[Any]) -> Any:
    """One circle around several."""
    lat, lon, radius_m = sphere.covering([(lat, lon) for lat, lon, _radius_m in circles])
    return lat, lon, min(radius_m + max(one[2] for one in circles), place.RADIUS_M_MAX)


def _area(text: str) -> Any:
    if text[:1] == "#":
        if not place.is_geohash(text[1:]):
            raise ValueError(f"{text[:20]} is no geohash")
        return text
    parts = text.split()
    try:
        numbers = [float(one) for one in parts[0].split(",")]
    except ValueError:
        return text
    if len(numbers) != 2:
        return text
    return captree.circle(text)


def _fitted(headline: str, said: dict[str, Any], areas: list[Any], more: dict[str, Any], ends_s: int | None,
            tree: Tree) -> Form:
    clipped = {"headline": (headline, limits.ALERT_HEADLINE_BYTES_MAX)}
    for name, most in (("issuer", limits.ALERT_NAME_BYTES_MAX), ("instruction", limits.ALERT_TEXT_BYTES_MAX),
                       ("language", limits.ALERT_NAME_BYTES_MAX), ("event", limits.ALERT_NAME_BYTES_MAX)):
        clipped[name] = (more.get(name) or "", most)
    texts = {name: _clip(text, most) for name, (text, most) in clipped.items()}
    body = alert.body_of(texts.pop("headline"), alert.codes_of(said), areas, **more | texts)
    try:
        body, cut = alert.fit(body)
    except ValueError:  # many areas: one circle around them all, which holds more than it should and nothing less
        circles = [one for one in areas if not isinstance(one, str)]
        body, _cut = alert.fit(alert.body_of(clipped["headline"][0][:40], alert.codes_of(said),
                                             [_around(circles)] if circles else areas[:1], **more | texts))
        cut = True
    return Form(body, ends_s, cut or any(len(text) > len(_clip(text, most)) for text, most in clipped.values()), tree)


def _clip(text: str, bytes_max: int) -> str:
    text = " ".join(text.split())
    data = text.encode()
    return text if len(data) <= bytes_max else data[:bytes_max - 3].decode("utf-8", "ignore") + "\u2026"
