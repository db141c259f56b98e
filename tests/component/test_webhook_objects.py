"""The Secret and the configuration in memory keep the contract that the API server keeps, too."""

import pytest

from bizrq.cluster.errors import NotFound
from tests.support.webhook_objects import CasWebhookObjects, configuration, entry, secret
from tests.support.webhook_objects_contract import ENTRIES, WEBHOOK_OBJECTS_CONTRACT


@pytest.mark.parametrize("sentence", WEBHOOK_OBJECTS_CONTRACT, ids=lambda each: each.__name__)
async def test_in_memory(sentence):
    await sentence(CasWebhookObjects(secret(), configuration(*map(entry, ENTRIES))))


async def test_what_is_not_there_is_not_found():
    objects = CasWebhookObjects()
    for read in (objects.read_secret, objects.read_configuration):
        with pytest.raises(NotFound):
            await read()
