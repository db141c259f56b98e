"""How are the books of cash saved to a file, and put back after a restore?"""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path
from typing import IO, Any

import click
import yaml

from bizrq import __version__
from bizrq.cli.restore import Options, Restore, RestoreError
from bizrq.clock import Clock, SystemClock
from bizrq.cluster.client import Client
from bizrq.cluster.credentials import CredentialsError, load_credentials
from bizrq.cluster.errors import ClusterError
from bizrq.cluster.lists import list_all
from bizrq.cluster.store import BIZRQS_URL, ApiStore
from bizrq.domain.bizrq import Bizrq, read_bizrq
from bizrq.domain.exported_books import Export, ExportError, as_document, read_export, subtrees
from bizrq.domain.restored_books import How

__all__ = ["books"]


@click.group()
def books() -> None:
    """Save the books of cash to a file, and put them back after a restore.

    Manifests have no status: a group that is created from one has spent nothing. Both commands go by the same
    kubeconfig as kubectl; they need the rights to list bizrqs, and for import to update bizgroupresourcequotas/status
    and patch bizgroupresourcequotas.
    """


@books.command(name="export")
@click.option("--root", "tops", multiple=True, metavar="NAME", help="Only this group and all below; may be repeated.")
@click.option(
    "-o",
    "--output",
    type=click.File("w", encoding="utf-8", atomic=True),
    default="-",
    metavar="FILE",
    help="Where to write to; by default, stdout.",
)
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def export_(tops: tuple[str, ...], output: IO[str], form: str) -> None:
    """Write the books of all groups, or of those named, as they are stored now."""
    try:
        bizrqs = subtrees(asyncio.run(_read_all()).values(), tops)
    except (ClusterError, CredentialsError, ExportError) as error:
        raise click.ClickException(str(error)) from error
    document = as_document(bizrqs, export_id=secrets.token_hex(8), now=SystemClock().now())
    if form == "json":
        text = json.dumps(document, indent=1) + "\n"
    else:
        text = yaml.safe_dump(document, sort_keys=False, width=120)
    output.write(text)


@books.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--add", is_flag=True, help="Into books with hours too: add those of the file.")
@click.option(
    "--replace",
    is_flag=True,
    help="Into books with hours too: those of the file in the place of what pods that are gone have cost.",
)
@click.option("--skip-missing", is_flag=True, help="Leave out groups of the file that are not in the cluster.")
@click.option("--continue", "go_on", is_flag=True, help="Go on with an import of this file that broke off.")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be written.")
def import_(file: Path, *, add: bool, replace: bool, skip_missing: bool, go_on: bool, dry_run: bool) -> None:
    """Put the books of FILE, from export, into the groups of the same names; - is stdin.

    All is checked first. Nothing is written if a group is missing, has hours already (unless --add or --replace), or
    has had this very file before (unless --add, or --continue, which leaves it as it is).
    """
    if add and replace:
        raise click.UsageError("--add and --replace exclude each other")
    how = How.ADD if add else How.REPLACE if replace else How.REFUSE
    options = Options(how=how, skip_missing=skip_missing, go_on=go_on)
    try:
        export = read_export(_document(file))
    except ExportError as error:
        msg = f"{file}: {error}"
        raise click.ClickException(msg) from error
    try:
        done = asyncio.run(_import(export, options, SystemClock(), dry_run=dry_run))
    except (ClusterError, CredentialsError) as error:
        raise click.ClickException(str(error)) from error
    except RestoreError as error:
        msg = f"{file}:\n{error}"
        raise click.ClickException(msg) from error
    click.echo(f"{done} of {len(export.bizrqs)} groups {'would be written' if dry_run else 'written'}")


def _document(file: Path) -> object:
    with click.open_file(str(file), encoding="utf-8") as stream:
        text = stream.read()
    try:
        return json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        msg = f"neither YAML nor JSON: {error}"
        raise ExportError(msg) from error


async def _import(export: Export, options: Options, clock: Clock, *, dry_run: bool) -> int:
    async with _client() as client:
        restore = Restore(export, await _live(client), options, clock, secrets.token_hex(4), click.echo)
        restore.plan()
        if not dry_run:
            await restore.write(ApiStore(client))
        return len(restore.todo)


async def _read_all() -> dict[str, Bizrq]:
    async with _client() as client:
        return await _live(client)


def _client() -> Client:
    return Client(load_credentials(), user_agent=f"bizrq-books/{__version__}")


async def _live(client: Client) -> dict[str, Bizrq]:
    """All bizrqs as they are stored, by name."""
    items: list[dict[str, Any]]
    items, _ = await list_all(client, BIZRQS_URL, {})
    return {each.name: each for each in map(read_bizrq, items)}
