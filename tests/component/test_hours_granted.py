"""[T3, T6, K6] hours are granted in whole thousandths, as they are shown: never more than hard."""

import pytest

from bizrq.domain.quantity import ZERO, parse
from tests.support.build import bizrq
from tests.support.controller import Controller
from tests.support.quotas import counted
from tests.support.webhook import Webhook

CASH = "cash/limits.cpu"


@pytest.mark.parametrize(("hard", "amount", "fit"), [("1m", "900u", 1), ("2m", "900u", 2), ("1", "334m", 2)])
async def test_what_is_granted_between_two_thousandths_is_not_granted_again(clock, hard, amount, fit):
    """After each child the controller has counted: its claim is closed, and used is shown anew."""
    webhook = Webhook(clock)
    webhook.store.put(bizrq("dept", hard={CASH: hard}))
    controller = Controller(webhook.store, clock)
    controller.start([], 50)
    granted = 0
    for number in range(fit + 3):
        controller.see(*webhook.store.names())
        await controller.write("dept")
        kid = counted({CASH: amount}, name=f"kid{number}", parent="dept")
        if (await webhook.create(kid)).allowed:
            granted += 1
            webhook.have(kid)
            dept = webhook.store.raw("dept")
            del dept["status"]["claims"]
            webhook.store.put(dept)
    assert granted == fit
    assert sum((parse(amount) for _ in range(granted)), ZERO) <= parse(hard)
