"""The store in memory keeps the contract of the API server; tests/e2e/test_store.py holds that one to it."""

import pytest

from tests.support.cas_store import CasStore
from tests.support.store_contract import CONTRACT


@pytest.mark.parametrize("sentence", CONTRACT, ids=lambda each: each.__name__)
async def test_store_in_memory(sentence):
    store = CasStore()
    await sentence(store, store)
