"""The real cluster that the end-to-end tests share."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pykube
import pytest

from testbed import build, image
from testbed.cluster import Cluster
from testbed.parts import BASE, PARTS
from testbed.progress import Progress
from tests.support.kube import client

IMAGE = "image"
"""The name by which a test asks for the content of the image, as for a part."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what the clusters need before the first test, whose time limit is not meant for minutes of building."""
    named = {name for item in session.items for mark in item.iter_markers("parts") for name in mark.args}
    with_image = IMAGE in named
    named.discard(IMAGE)
    wanted = with_image or named or any("cluster" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        with session.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            build.ensure([*BASE, *(PARTS[name] for name in sorted(named))], Progress())
            if with_image:
                image.ensure(Progress())


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One test bed for the whole run, which ends with this process at the latest."""
    with Cluster(tmp_path_factory.mktemp("testbed")) as started:
        yield started


@pytest.fixture(scope="session")
def admin(cluster: Cluster) -> Iterator[pykube.HTTPClient]:
    """The administrator's client."""
    with client(cluster.kubeconfig) as api:
        yield api


@pytest.fixture
def namespace(admin: pykube.HTTPClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own; nobody waits for its end."""
    made = pykube.Namespace(
        admin, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"t-{time.time_ns():x}"}}
    )
    made.create()
    yield made.name
    made.delete()
