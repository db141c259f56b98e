"""Files that are replaced while they are in use."""

import logging

import pytest

from bizrq.webhook.files import FileError, Held
from bizrq.webhook.tls import Certificate
from bizrq.webhook.tokens import PathTokens
from tests.support.certificates import make_pair
from tests.support.secret_volume import SecretVolume


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "number"
    file.write_text("1")
    return file


@pytest.fixture
def number(file):
    return Held("number", (file,), lambda contents: int(contents[0]))


@pytest.fixture
def warnings(caplog):
    """The warnings that were logged."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_new_content_is_taken_over(file, number, warnings):
    file.write_text("2")
    number.refresh()
    assert (number.value, warnings()) == (2, [])


def test_a_content_that_is_no_good_keeps_the_value_and_is_told_once_with_the_name_of_the_file(file, number, warnings):
    file.write_text("half")
    number.refresh()
    number.refresh()
    assert number.value == 1
    (warning,) = warnings()
    assert str(file) in warning
    assert "going on with what was there before" in warning


def test_a_file_that_is_away_for_a_while_is_told_once_and_taken_over_when_it_is_back(file, number, warnings):
    file.unlink()
    number.refresh()
    number.refresh()
    assert (number.value, len(warnings())) == (1, 1)
    file.write_text("3")
    number.refresh()
    assert number.value == 3
    file.unlink()
    number.refresh()
    assert len(warnings()) == 2


def test_a_symbolic_link_that_changes_its_target_is_seen(tmp_path):
    """As the kubelet replaces the content of a Secret's volume."""
    for name, content in (("old", "1"), ("new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(content)
    (tmp_path / "..data").symlink_to("old")
    (tmp_path / "number").symlink_to("..data/number")
    held = Held("number", (tmp_path / "number",), lambda contents: int(contents[0]))
    (tmp_path / "..tmp").symlink_to("new")
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    held.refresh()
    assert held.value == 2


def test_a_file_that_is_not_there_yet_is_waited_for_and_what_is_wrong_is_told(tmp_path, warnings):
    """Somebody else makes it: the first content may also be no good yet."""
    file = tmp_path / "number"
    held = Held("number", (file,), lambda contents: int(contents[0]))
    told = []
    for content in (None, "half", None, "1", None):
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_text(content)
        held.refresh()
        told.append((held.value, held.lacks))
    waiting = f"number: waiting for {file}"
    no_number = f"number ({file}): invalid literal for int() with base 10: b'half'"
    assert told == [(None, waiting), (None, no_number), (None, waiting), (1, None), (1, None)]
    assert warnings()[0] == f"{no_number}; waiting for others"


def test_nobody_is_let_in_while_the_tokens_are_waited_for(tmp_path):
    tokens = PathTokens(tmp_path / "tokens")
    assert tokens.lacks is not None
    assert not tokens.accept(OLD)
    (tmp_path / "tokens").write_text(OLD)
    tokens.refresh()
    assert tokens.lacks is None
    assert tokens.accept(OLD)


# --- tokens ----------------------------------------------------------------------------------------------------------

OLD, NEW = "a" * 16, "Az09-_.~" * 4


def test_every_token_of_the_file_is_accepted_and_no_other(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"\n{OLD}\n\n  {NEW}  \r\n")
    tokens = PathTokens(file)
    assert tokens.accept(OLD)
    assert tokens.accept(NEW)
    for other in ("", OLD[:-1], OLD + "a", OLD.upper(), f"{OLD}\n{NEW}", "ä" * 16, "\ud800"):
        assert not tokens.accept(other)


def test_a_token_is_replaced_without_a_gap(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(OLD)
    tokens = PathTokens(file)
    for content, accepted in ((f"{OLD}\n{NEW}", [True, True]), (NEW, [False, True])):
        file.write_text(content)
        tokens.refresh()
        assert [tokens.accept(token) for token in (OLD, NEW)] == accepted


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("", "there is no token in it: write one a line, of at least 16", id="an empty file"),
        pytest.param("\n \n", "there is no token in it", id="blank lines"),
        pytest.param("a" * 15, "line 1 is no token: write one a line, of at least 16", id="a short one"),
        pytest.param(f"{OLD}\nhush/hush+hush==hush", "line 2 is no token", id="signs that no path has"),
        pytest.param("gehe1mnisgehe1mnisä", "line 1 is no token", id="letters with accents"),
    ],
)
def test_a_file_without_good_tokens_says_what_to_write_and_no_secret(tmp_path, content, words):
    file = tmp_path / "tokens"
    file.write_text(content)
    with pytest.raises(FileError) as error:
        PathTokens(file)
    assert str(file) in str(error.value)
    assert words in str(error.value)
    for line in content.split():
        assert line not in str(error.value)


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        pytest.param("a.crt", "b.key", "do not fit each other, or one is broken", id="the key of another one"),
        pytest.param("a.crt", "empty", "the key is no PEM file", id="an empty key"),
        pytest.param("empty", "a.key", "the certificate is no PEM file", id="an empty certificate"),
        pytest.param("half", "a.key", "do not fit each other, or one is broken", id="half a certificate"),
        pytest.param("a.crt", "locked.key", "do not fit each other, or one is broken", id="a key with a password"),
    ],
)
def test_a_certificate_that_cannot_be_used_ends_the_start_with_the_names_of_the_files(
    tmp_path, certificate, key, words
):
    for name in ("a", "b"):
        make_pair(tmp_path, name)
    (tmp_path / "empty").touch()
    (tmp_path / "half").write_bytes((tmp_path / "a.crt").read_bytes()[:300])
    make_pair(tmp_path, "locked", password="hush")
    with pytest.raises(FileError) as error:
        Certificate(tmp_path / certificate, tmp_path / key)
    assert words in str(error.value)
    assert str(tmp_path / certificate) in str(error.value)
    assert str(tmp_path / key) in str(error.value)


def test_a_certificate_and_a_key_of_which_one_is_replaced_are_kept_off_until_they_fit(tmp_path, warnings):
    first, second = (make_pair(tmp_path, name) for name in ("a", "b"))
    paths = tmp_path / "tls.crt", tmp_path / "tls.key"
    for path, content in zip(paths, (first.certificate, first.key), strict=True):
        path.write_bytes(content.read_bytes())
    certificate = Certificate(*paths)
    before = certificate._held.value
    paths[0].write_bytes(second.certificate.read_bytes())
    certificate.refresh()
    assert certificate._held.value is before
    assert "do not fit each other" in warnings()[0]
    paths[1].write_bytes(second.key.read_bytes())
    certificate.refresh()
    assert certificate._held.value is not before


def test_the_volume_of_a_secret_that_is_empty_at_first_is_read_as_a_kubelet_replaces_it(tmp_path):
    volume = SecretVolume(tmp_path / "volume", ("tls.crt", "tls.key"))
    volume.write({})
    certificate = Certificate(volume.folder / "tls.crt", volume.folder / "tls.key")
    assert certificate.lacks == f"certificate: waiting for {volume.folder / 'tls.crt'}"
    contexts = []
    for name in ("a", "b"):
        pair = make_pair(tmp_path, name)
        volume.write({"tls.crt": pair.certificate.read_bytes(), "tls.key": pair.key.read_bytes(), "tokens": b"-"})
        certificate.refresh()
        contexts.append(certificate._held.value)
    assert certificate.lacks is None
    assert contexts[0] is not contexts[1]
    volume.write({})  # somebody emptied the Secret
    certificate.refresh()
    assert certificate._held.value is contexts[1]


def test_a_broken_client_authority_ends_the_start(tmp_path):
    pair = make_pair(tmp_path, "a")
    authority = tmp_path / "ca.crt"
    authority.write_bytes(pair.certificate.read_bytes()[:300])
    with pytest.raises(FileError, match="the client authority is broken"):
        Certificate(pair.certificate, pair.key, authority)
