"""Runs the command line: ``python -m bizrq``."""

from bizrq.cli.main import main

main(prog_name="bizrq")
