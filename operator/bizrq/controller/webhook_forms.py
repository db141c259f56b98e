"""How is it written in the Secret and in the webhook configuration what the rotation goes by?"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bizrq.controller.authority import read_authorities, read_pair
from bizrq.domain.bizrq import GROUP
from bizrq.domain.rotation import Call, Entry, Kept, Pair
from bizrq.domain.times import instant, timestamp
from bizrq.domain.webhook_routes import ROUTES, route_of, split_path

__all__ = ["MADE_ANNOTATION", "ROTATE_ANNOTATION", "Calls", "client_config", "dns_names", "read_calls", "read_kept"]
__all__ += ["secret_with"]

ROTATE_ANNOTATION: Final = f"{GROUP}/rotate"
"""On the Secret, with any value: somebody wants a rotation now."""

MADE_ANNOTATION: Final = f"{GROUP}/tokens-made"
"""On the Secret: when the newest token was made."""

_CERTIFICATE, _KEY, _BUNDLE, _TOKENS = "tls.crt", "tls.key", "ca.crt", "tokens"
_STAGED: Final = "next-"
_PAIRS: Final = (_CERTIFICATE, _KEY, _BUNDLE, _STAGED + _CERTIFICATE, _STAGED + _KEY)

_TOKEN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", re.ASCII)
"""What the API server takes as a part of a service's path."""
_SHORTEST, _LONGEST = 16, 253

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Calls:
    """What a configuration says."""

    entries: tuple[Entry, ...]
    routes: Mapping[str, str]
    """The route of each of them, by its name."""
    ignored: tuple[str, ...]
    """The names of the others: those that name an address in place of a service, and those that are none of ours."""


def dns_names(service: str, namespace: str) -> frozenset[str]:
    """The names by which a Service is asked for; an API server uses the first."""
    short = f"{service}.{namespace}"
    return frozenset({f"{short}.svc", f"{short}.svc.cluster.local", short})


def read_calls(raw: JSON) -> Calls:
    """What the entries of a ValidatingWebhookConfiguration say."""
    entries, routes, ignored = [], {}, []
    for each in raw.get("webhooks") or ():
        config = each.get("clientConfig") or {}
        service = config.get("service") or {}
        token, last = split_path(service.get("path") or "")
        token = token if _is_token(token) else ""
        route = last if last in ROUTES or (token and last) else route_of(each["name"])
        if not service or route is None or not each["name"].endswith(f".{GROUP}"):
            ignored.append(each["name"])
            continue
        names = dns_names(service["name"], service["namespace"])
        bundle = _text(base64.b64decode(config.get("caBundle") or ""))
        entries.append(Entry(each["name"], names, read_authorities(bundle), token))
        routes[each["name"]] = route
    return Calls(tuple(entries), routes, tuple(ignored))


def client_config(call: Call, route: str) -> dict[str, Any]:
    """What of an entry's clientConfig is changed, so that it is called like that."""
    change: dict[str, Any] = {"service": {"path": f"/{call.token}/{route}"}}
    if call.authorities is not None:
        change["caBundle"] = _encoded("".join(call.authorities))
    return change


def read_kept(raw: JSON, entries: Sequence[Entry], *, certificates: bool) -> Kept:
    """What a Secret says; an authority that it lost is looked for in the ``entries``.

    Without ``certificates``, these are not ours, and are not looked at.
    """
    texts = {key: _text(base64.b64decode(value)) for key, value in (raw.get("data") or {}).items()}
    annotations = raw["metadata"].get("annotations") or {}
    kept = Kept(
        tokens=tuple(
            dict.fromkeys(line for line in map(str.strip, texts.get(_TOKENS, "").splitlines()) if _is_token(line))
        ),
        tokens_made=instant(annotations[MADE_ANNOTATION]) if MADE_ANNOTATION in annotations else None,
        asked=ROTATE_ANNOTATION in annotations,
    )
    if certificates:
        authorities = read_authorities(texts.get(_BUNDLE, ""))
        lost = tuple(each for entry in entries for each in entry.authorities)
        serving, staged = (
            read_pair(texts.get(prefix + _CERTIFICATE, ""), texts.get(prefix + _KEY, ""), (*authorities, *lost))
            for prefix in ("", _STAGED)
        )
        signed = (pair.authority for pair in (staged, serving) if pair)
        authorities = tuple(dict.fromkeys((*authorities, *signed)))
        kept = replace(kept, serving=serving, staged=staged, authorities=authorities)
    ours = _keys(certificates=certificates)
    there = {key: text for key, text in texts.items() if key in ours}
    return replace(kept, tidy=there == _texts(kept, certificates=certificates))


def secret_with(raw: JSON, kept: Kept, *, certificates: bool) -> dict[str, Any]:
    """The Secret with that in it; what is not ours in it is kept."""
    ours = _keys(certificates=certificates)
    others = {key: value for key, value in (raw.get("data") or {}).items() if key not in ours}
    texts = _texts(kept, certificates=certificates)
    annotations = dict(raw["metadata"].get("annotations") or {})
    if kept.tokens_made is not None:
        annotations[MADE_ANNOTATION] = timestamp(kept.tokens_made)
    if not kept.asked:
        annotations.pop(ROTATE_ANNOTATION, None)
    return {
        **raw,
        "metadata": {**raw["metadata"], "annotations": annotations},
        "data": others | {key: _encoded(text) for key, text in texts.items()},
    }


def _keys(*, certificates: bool) -> Iterable[str]:
    return (*_PAIRS, _TOKENS) if certificates else (_TOKENS,)


def _texts(kept: Kept, *, certificates: bool) -> dict[str, str]:
    """The keys that are ours, without those that have nothing to say."""
    texts = {_TOKENS: "".join(f"{token}\n" for token in kept.tokens)}
    if certificates:
        texts[_BUNDLE] = "".join(kept.authorities)
        pairs: tuple[tuple[str, Pair | None], ...] = (("", kept.serving), (_STAGED, kept.staged))
        for prefix, pair in pairs:
            if pair:
                texts |= {prefix + _CERTIFICATE: pair.certificate, prefix + _KEY: pair.key}
    return {key: text for key, text in texts.items() if text}


def _is_token(text: str) -> bool:
    return _SHORTEST <= len(text) <= _LONGEST and bool(_TOKEN.fullmatch(text))


def _text(content: bytes) -> str:
    return content.decode("ascii", "replace")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("ascii")).decode("ascii")
