"""What all component tests use."""

import pytest

from tests.support.clocks import HandClock


@pytest.fixture
def clock():
    """A clock that the test moves."""
    return HandClock()
