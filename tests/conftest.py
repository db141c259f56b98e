"""Settings for all tests.

Hypothesis: no deadline, since a busy machine is no failure; a failing example can be repeated from the printed blob.
Where the variable CI is set, the same examples are tried each time.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("bizrq", deadline=None, print_blob=True)
settings.register_profile("bizrq-ci", settings.get_profile("bizrq"), derandomize=True)
settings.load_profile("bizrq-ci" if os.environ.get("CI") else "bizrq")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: whoever broke a rule is told within seconds, not after the end-to-end tests."""
    items.sort(key=lambda item: ("e2e" in item.keywords, "component" in item.nodeid))
