"""`bizrq books`, as a person meets it; what it does to a cluster is shown on the real one."""

import pytest
from click.testing import CliRunner

from bizrq.cli.main import main


def run(*arguments, stdin=None):
    return CliRunner().invoke(main, ["books", *arguments], input=stdin, env={"KUBECONFIG": "/nowhere"})


@pytest.mark.parametrize(("text", "words"), [
    ("kind: List", "this is no file of bizrq books export"),
    ("a: [", "neither YAML nor JSON"),
    ('{"a": ', "neither YAML nor JSON"),
    ("[" * 100_000, "neither YAML nor JSON"),
], ids=["another document", "no YAML", "no JSON", "nested without an end"])  # fmt: skip
def test_what_is_no_export_is_refused_naming_the_file(tmp_path, text, words):
    file = tmp_path / "books.yaml"
    file.write_text(text)
    told = run("import", str(file))
    assert told.exit_code == 1
    assert told.output.startswith(f"Error: {file}: {words}")


def test_stdin_may_be_the_file():
    assert "Error: -: this is no file" in run("import", "-", stdin="kind: List").output


def test_add_and_replace_exclude_each_other(tmp_path):
    told = run("import", str(tmp_path / "missing"), "--add")
    assert "does not exist" in told.output
    file = tmp_path / "books.yaml"
    file.write_text("")
    told = run("import", str(file), "--add", "--replace")
    assert (told.exit_code, "exclude each other" in told.output) == (2, True)


def test_without_a_cluster_it_says_where_it_looked():
    told = run("export")
    assert told.exit_code == 1
    assert "/nowhere" in told.output


def test_help_tells_every_way_out_that_an_error_names():
    help_ = run("import", "--help").output
    for flag in ("--add", "--replace", "--skip-missing", "--continue", "--dry-run"):
        assert flag in help_
