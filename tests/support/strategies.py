"""What Hypothesis draws: texts and values as clusters have them, with the odd ones among them."""

from __future__ import annotations

from hypothesis import strategies as st

from bizrq.domain.pod_resources import Container, PodResources
from bizrq.domain.quantity import Form, Quantity

__all__ = [
    "MODELS",
    "containers",
    "json_values",
    "key_like_texts",
    "pods_resources",
    "quantities",
    "quantity_texts",
    "resource_lists",
    "small_amounts",
]

SUFFIXES = ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")

MODELS = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?", fullmatch=True)
"""Values of labels, as the API server checks them."""


@st.composite
def quantity_texts(draw: st.DrawFn, *, digits: int = 9, signed: bool = True) -> str:
    """Well-formed texts; ``digits`` are the most before and after the point."""
    sign = draw(st.sampled_from(["", "", "", "+", "-"] if signed else ["", "+"]))
    whole = draw(st.text("0123456789", max_size=digits))
    fraction = draw(st.none() | st.text("0123456789", max_size=digits))
    if not whole and not fraction:
        whole = "0"
    exponents = st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 99))
    suffix = draw(st.sampled_from(SUFFIXES) | exponents)
    return sign + whole + ("" if fraction is None else "." + fraction) + suffix


def quantities(*, least: int = -(10**30), most: int = 10**30) -> st.SearchStrategy[Quantity]:
    """Quantities of any form; the bounds are nano-units."""
    return st.builds(Quantity, st.integers(least, most), st.sampled_from(Form))


def small_amounts() -> st.SearchStrategy[Quantity]:
    """What containers state: 0 to 16 units, in milli."""
    return st.integers(0, 16_000).map(Quantity.from_milli)


RESOURCES = ("cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu", "nvidia.com/mig-1g.5gb")


def resource_lists() -> st.SearchStrategy[dict[str, Quantity]]:
    """Requests or limits."""
    return st.dictionaries(st.sampled_from(RESOURCES), small_amounts(), max_size=4)


def containers() -> st.SearchStrategy[Container]:
    """One container, plain, init or sidecar."""
    return st.builds(
        Container, name=st.just("c"), requests=resource_lists(), limits=resource_lists(), sidecar=st.booleans()
    )


def pods_resources(*, whole: bool = True) -> st.SearchStrategy[PodResources]:
    """What a pod states; with ``whole`` also for the pod as a whole."""
    of_pod = resource_lists() if whole else st.just({})
    return st.builds(
        PodResources,
        containers=st.lists(containers(), min_size=1, max_size=3),
        init_containers=st.lists(containers(), max_size=4),
        requests=of_pod,
        limits=of_pod,
        overhead=st.just({}) | resource_lists(),
    )


_PARTS = (
    *("cpu", "memory", "ephemeral-storage", "storage", "hugepages-2Mi", "hugepages-", "pods", "replicas", "gpu", "mem"),
    *("nvidia.com", "kubernetes.io", "mig-1g.5gb", "deployments", "apps", "A30", "requests", "limits", "cash", "count"),
    *("requests.", "limits.", "cash/", "count/", ".", "/", "-", "CPU", "2Mi", "é", " ", ""),
)


def key_like_texts() -> st.SearchStrategy[str]:
    """Texts that a person may take for a key of ``hard``."""
    return st.lists(st.sampled_from(_PARTS), max_size=7).map("".join) | st.text(max_size=40)


def json_values() -> st.SearchStrategy[object]:
    """Anything that JSON can say."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
