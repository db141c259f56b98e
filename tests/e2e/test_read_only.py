"""Both processes write no file, and may run as a user whom the machine does not know.

So their pods have a root that cannot be written to, no volume for temporary files, and any user. Each attempt of the
interpreter to change the file system is refused, as in such a container, and reported.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys

import pykube
import pytest
import yaml

from bizrq.domain.bizrq import LABEL
from testbed import operator_process
from testbed.control import ROOT
from tests.support.bizrqs import bizrq
from tests.support.kube import deployment, wait_until

pytestmark = pytest.mark.e2e

HOOK = """
import errno, os, pwd, sys
for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
pwd.getpwuid = {}.__getitem__
CHANGES = {"os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
           "os.truncate", "os.utime", "shutil.move", "tempfile.mkstemp", "tempfile.mkdtemp"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
def refuse(event, arguments):
    opened = event == "open" and isinstance(arguments[0], (str, bytes)) and (arguments[2] or 0) & WRITES
    if event in CHANGES or (opened and os.fsdecode(arguments[0]) != os.devnull):
        os.write(2, f"READ-ONLY: {event} {arguments}\\n".encode())
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), arguments[0])
sys.addaudithook(refuse)
"""
"""A sitecustomize: the interpreter runs it before all else."""

SAID = "READ-ONLY: "


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables of a process that finds nothing to write to."""
    folder = tmp_path_factory.mktemp("read-only")
    (folder / "sitecustomize.py").write_text(HOOK)
    paths = [str(folder), str(ROOT / "operator")]
    return {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": "/nonexistent"}


def kubeconfig(cluster, account, folder):
    """That of an account, in files as a pod has them: what is in the kubeconfig itself a library puts into files."""
    config = yaml.safe_load(cluster.kubeconfigs[account].read_text(encoding="utf-8"))
    authority = config["clusters"][0]["cluster"].pop("certificate-authority-data")
    token = config["users"][0]["user"].pop("token")
    made = folder / f"{account}.yaml"
    (folder / f"{account}.token").write_text(token, encoding="ascii")
    (folder / f"{account}.authority").write_bytes(base64.b64decode(authority))
    config["clusters"][0]["cluster"]["certificate-authority"] = str(folder / f"{account}.authority")
    config["users"][0]["user"]["tokenFile"] = str(folder / f"{account}.token")
    made.write_text(json.dumps(config), encoding="utf-8")
    return {"KUBECONFIG": str(made)}


def test_what_refuses_works(environment, tmp_path):
    """So the test below can fail."""
    new = str(tmp_path / "new")
    attempts = (f"open({new!r}, 'w')", f"import os; os.mkdir({new!r})", "import tempfile; tempfile.TemporaryFile()")
    told = [attempt(environment, code, tmp_path) for code in (*attempts, "import getpass; getpass.getuser()")]
    assert [(each.returncode, SAID in each.stderr) for each in told] == [(1, True)] * len(attempts) + [(1, False)]


def attempt(environment, code, temporary):
    variables = {**os.environ, **environment, "TMPDIR": str(temporary)}
    return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)


def test_neither_process_writes_a_file_or_asks_who_it_is(cluster, admin, namespace, environment, tmp_path):
    operator_process.install(cluster.kubectl)
    env = {
        name: {**environment, **kubeconfig(cluster, name, tmp_path)} for name in ("bizrq-controller", "bizrq-webhook")
    }
    with cluster.start_webhooks(count=1, env=env["bizrq-webhook"], install=False) as webhooks:
        (replica,) = webhooks.replicas
        only = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        webhooks.install(namespace_selector=only, scale_namespace_selector=only)
        operator = cluster.start_operator(env=env["bizrq-controller"], install=False)
        try:
            group = bizrq(admin, namespace, hard={"pods": "5"})
            group.create()
            wait_until(lambda: group.reload() or group.obj.get("status", {}).get("hard"), "counted")
            web = deployment(admin, "web", namespace=namespace, labels={LABEL: namespace})
            web.create()
            wait_until(lambda: group.reload() or group.obj["status"]["used"]["pods"] == "1", "charged")
            with pytest.raises(pykube.exceptions.HTTPError, match="exceeded quota"):
                deployment(admin, "more", namespace=namespace, replicas=9, labels={LABEL: namespace}).create()
            web.delete(propagation_policy="Foreground")
            wait_until(lambda: group.reload() or group.obj["status"]["used"]["pods"] == "0", "released")
            group.delete()
            wait_until(lambda: not group.exists(), "gone")
            replica.terminate()
        finally:
            operator.terminate()
    for process in (operator, replica):
        text = process.log.read_text(encoding="utf-8")
        assert "Traceback" not in text
        assert [line for line in text.splitlines() if SAID in line] == []
        assert "ERROR" not in text
