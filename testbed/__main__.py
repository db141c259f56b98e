"""Which commands are there? ``python -m testbed --help`` says it."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from pathlib import Path

from testbed.errors import BedError


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    from testbed.bed import PIECES
    from testbed.nodes import DEFAULT_NODES
    from testbed.parts import BASE, PARTS

    parser = argparse.ArgumentParser(
        prog="python -m testbed",
        description="A private, real Kubernetes control plane with fake nodes (kwok), on 127.0.0.1 and in one folder.",
        epilog="The programs come from the folder in KUBEBUILDER_ASSETS, else from the cache (BIZRQ_TESTBED_CACHE, "
        "default ~/.cache/bizrq-testbed), else they are built into the cache, which takes Go and some minutes.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser(
        "build",
        help="build programs into the cache",
        description="Build programs into the cache, unless they are there. Prints one JSON line: part -> folder.",
    )
    build.add_argument(
        "part",
        nargs="*",
        type=_part,
        metavar="PART",
        help=f"one of: {', '.join(PARTS)}, all. Default: what every test bed needs ({', '.join(p.name for p in BASE)})",
    )

    up = commands.add_parser(
        "up",
        help="start a test bed",
        description="Start a test bed and leave one supervisor process behind. Prints one JSON line with kubeconfig, "
        "kubectl, pids, state, server, kubeconfigs and logs; all else goes to stderr. KUBECONFIG=DIR/kubeconfig is the "
        "administrator's; DIR/kubeconfigs has alice, bob, carol (no rights) and the servers' own.",
    )
    _add_state(up)
    up.add_argument(
        "--nodes",
        type=_count,
        default=DEFAULT_NODES,
        metavar="N",
        help="nodes of 64 cores, 256Gi, 8 GPUs and 250 pods each (default %(default)s)",
    )
    up.add_argument(
        "--owner-pid",
        type=int,
        metavar="PID",
        help="end everything when this process ends, even by SIGKILL (default: only `down` ends it)",
    )
    up.add_argument(
        "--with",
        dest="pieces",
        type=_pieces,
        default=(),
        metavar="PIECE,...",
        help=f"what runs beside the control plane: {', '.join(PIECES)}",
    )
    up.add_argument(
        "--image",
        dest="images",
        type=_image,
        action="append",
        metavar="REF=DIR",
        help="for the agent: containers of this image find the programs in DIR/bin; * stands for anything; may be "
        "given several times (default: every bizrq:TAG is this checkout)",
    )
    up.add_argument(
        "--operator-args",
        type=shlex.split,
        default=(),
        metavar="ARGS",
        help='further arguments of `bizrq controller`, as one word: --operator-args="--resync-seconds 5"',
    )
    up.add_argument(
        "--webhook-args",
        type=shlex.split,
        default=(),
        metavar="ARGS",
        help="further arguments of `bizrq webhook`, likewise",
    )
    up.add_argument("--durable", action="store_true", help="etcd syncs to disk, as it must where the machine may stop")
    up.add_argument("--audited", action="store_true", help="write down in DIR/audit what bizrq asks the API server for")

    down = commands.add_parser(
        "down",
        help="end a test bed",
        description="End a test bed and delete its files. Doing it again, or where none is, is fine.",
    )
    _add_state(down)
    down.add_argument("--keep-logs", action="store_true", help="leave DIR/logs")

    status = commands.add_parser(
        "status",
        help="show the processes of a test bed",
        description="Show the processes of a test bed. Exit code 0 if all run.",
    )
    _add_state(status)
    status.add_argument("--json", action="store_true", help="as one JSON line")
    return parser.parse_args(argv)


def _add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        type=Path,
        required=True,
        metavar="DIR",
        help="the test bed's folder: new, or empty, or one that a test bed had",
    )


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return count


def _pieces(text: str) -> tuple[str, ...]:
    from testbed.bed import PIECES

    pieces = tuple(filter(None, text.split(",")))
    for piece in pieces:
        if piece not in PIECES:
            raise argparse.ArgumentTypeError(f"no such piece: {piece}; there are {', '.join(PIECES)}")
    return pieces


def _image(text: str) -> tuple[str, Path]:
    reference, _, folder = text.rpartition("=")
    if not reference or not (Path(folder) / "bin").is_dir():
        raise argparse.ArgumentTypeError(f"{text}: must be REF=DIR, where DIR has a folder bin")
    return reference, Path(folder).absolute()


def _part(text: str) -> str:
    from testbed.parts import PARTS

    if text not in {"all", *PARTS}:
        raise argparse.ArgumentTypeError(f"no such part: {text}; there are {', '.join(PARTS)}, all")
    return text


def _build(arguments: argparse.Namespace) -> int:
    from testbed.build import ensure
    from testbed.parts import BASE, PARTS
    from testbed.progress import Progress

    names = PARTS if "all" in arguments.part else arguments.part
    folders = ensure([PARTS[name] for name in dict.fromkeys(names)] or BASE, Progress())
    print(json.dumps({name: str(folder) for name, folder in folders.items()}))
    return 0


def _up(arguments: argparse.Namespace) -> int:
    from testbed import bed

    print(
        json.dumps(
            bed.up(
                arguments.state,
                count=arguments.nodes,
                owner=arguments.owner_pid,
                durable=arguments.durable,
                audited=arguments.audited,
                pieces=arguments.pieces,
                operator_args=arguments.operator_args,
                webhook_args=arguments.webhook_args,
                images=dict(arguments.images) if arguments.images else None,
            )
        )
    )
    return 0


def _down(arguments: argparse.Namespace) -> int:
    from testbed import bed

    if not bed.down(arguments.state, keep_logs=arguments.keep_logs):
        print(f"no test bed on {arguments.state}", file=sys.stderr)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from testbed import bed
    from testbed.progress import clock

    rows = bed.status(arguments.state)
    if arguments.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            state = "alive" if row["alive"] else "ended"
            uptime = "-" if row["uptime"] is None else clock(row["uptime"])
            print(f"{row['name']:20} {row['pid']:8} {state} {uptime:>8}  {row['log']}  {row['note']}".rstrip())
        folder = arguments.state.absolute()
        # kubectl's own cache goes by address: another test bed may have had the same one.
        print(
            f"export KUBECONFIG={shlex.quote(f'{folder}/kubeconfig')} "
            f"KUBECACHEDIR={shlex.quote(f'{folder}/kubectl-cache')}"
        )
    return 0 if all(row["alive"] for row in rows) else 1


def main(argv: list[str] | None = None) -> int:
    """Run a command; 1 and a message on stderr if it cannot be done."""
    from testbed.prerequisites import check_kernel, check_machine, note_make

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was begun is cleaned up
    try:
        check_machine()
        check_kernel()
        arguments = _arguments(argv)
        if arguments.command in {"build", "up"} and (note := note_make()):
            print(note, file=sys.stderr)
        commands = {"build": _build, "up": _up, "down": _down, "status": _status}
        return commands[arguments.command](arguments)
    except BedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"testbed: {error}: run `make setup` and use .venv/bin/python", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("testbed: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
