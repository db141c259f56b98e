"""What is counted under which name?"""

from bizrq.domain.intervals import Clamp, EndSource
from bizrq.observability.metrics import ControllerMetrics


def test_what_was_moved_and_guessed_in_pods_times_is_counted_by_reason_and_source():
    """[C2] all are shown as 0 from the start, and an exact end is none of them."""
    metrics = ControllerMetrics()
    value = metrics.registry.get_sample_value
    assert [value("bizrq_cash_clamps_total", {"reason": each}) for each in Clamp] == [0] * len(Clamp)
    metrics.count_noted({Clamp.END_IN_FUTURE: 2, EndSource.DISRUPTED: 3})
    metrics.count_noted({EndSource.DISRUPTED: 1})
    assert value("bizrq_cash_clamps_total", {"reason": "end_in_future"}) == 2
    assert value("bizrq_cash_inexact_ends_total", {"source": "disrupted"}) == 4
    assert value("bizrq_cash_inexact_ends_total", {"source": "observed"}) == 0
    assert value("bizrq_cash_inexact_ends_total", {"source": "finished_at"}) is None
