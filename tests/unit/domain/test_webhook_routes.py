"""Which path belongs to which entry of the webhook configuration?"""

import pytest

from bizrq.domain.webhook_routes import ROUTES, route_of, split_path


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/token/workloads", ("token", "workloads")),
        ("/workloads", ("", "workloads")),
        ("/", ("", "")),
        ("", ("", "")),
        ("workloads", ("", "")),
        ("/a/token/workloads", ("", "")),
        ("/token/", ("token", "")),
    ],
)
def test_a_path_is_a_token_and_a_route(path, parts):
    assert split_path(path) == parts


def test_an_entry_is_named_after_its_route_and_what_is_not_counted_is_asked_about_where_a_label_is_required():
    assert {route: route_of(f"{route}.quota.bizrq.io") for route in ROUTES} == {route: route for route in ROUTES}
    assert route_of("uncounted.quota.bizrq.io") == "required"


@pytest.mark.parametrize("name", ["pods.quota.bizrq.io", "workloads", "workloads.example.com", "workloads.", ""])
def test_an_entry_of_somebody_else_has_no_route(name):
    assert route_of(name) is None
