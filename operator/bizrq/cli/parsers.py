"""How is the text of an option read?

What is wrong is told with the value and with what to write in its place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from bizrq.domain.resource_names import GpuResources
from bizrq.settings import SecretName

__all__ = ["AWAITED_FILE", "FILE", "gpus", "names", "namespace", "object_name", "secret"]

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

_OBJECT: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

AWAITED_FILE: Final = click.Path(dir_okay=False, path_type=Path)
"""One that need not be there yet."""


def gpus(_context: click.Context, _parameter: click.Parameter, text: str) -> GpuResources:
    """Names of resources with commas between them."""
    patterns = tuple(name.strip() for name in text.split(",") if name.strip())
    if not patterns:
        raise click.BadParameter("name at least one resource, such as gpu")
    return GpuResources(patterns)


def namespace(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """A name of a namespace; "" and None pass."""
    if text and not _NAMESPACE.fullmatch(text):
        msg = f"{text!r} is no name of a namespace: up to 63 letters a-z, digits and -, such as bizrq-system"
        raise click.BadParameter(msg)
    return text


def object_name(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """A name of an object; "" passes."""
    if text and not _OBJECT.fullmatch(text):
        msg = f"{text!r} is no name of an object: up to 253 letters a-z, digits, - and ., such as bizrq"
        raise click.BadParameter(msg)
    return text


def secret(_context: click.Context, _parameter: click.Parameter, text: str) -> SecretName | None:
    """NAMESPACE/NAME; "" is none."""
    if not text:
        return None
    where, _slash, name = text.partition("/")
    if not _NAMESPACE.fullmatch(where) or not _OBJECT.fullmatch(name):
        msg = f"{text!r} is no NAMESPACE/NAME of a Secret, such as bizrq-system/bizrq-webhook"
        raise click.BadParameter(msg)
    return SecretName(where, name)


def names(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
