"""Reviews in, verdicts out, as the API server writes and reads them."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.webhook.review import BadReview, GroupVersionKind, Request, UserInfo, Verdict, answer, read_review
from tests.support.admission_review import make_review


def response(verdict, uid="u"):
    """What the API server reads in an answer."""
    review = json.loads(answer(uid, verdict))
    assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    return review["response"]


# --- read ------------------------------------------------------------------------------------------------------------


def test_a_review_of_the_api_server_is_read():
    request = read_review(make_review(dryRun=True, subResource="scale", oldObject={"spec": {"replicas": 1}}))
    assert request.uid == "705ab4f5-6393-11e8-b7cc-42010a800002"
    assert request.kind == GroupVersionKind(group="apps", version="v1", kind="Deployment")
    assert request.request_kind == request.kind
    assert (request.resource.group, request.resource.resource) == ("apps", "deployments")
    assert (request.operation, request.namespace, request.name, request.sub_resource) == (
        "CREATE", "shop", "web", "scale",
    )  # fmt: skip
    assert request.user_info == UserInfo(
        username="alice", groups=("system:authenticated",), extra={"scopes": ["a", "b"]}
    )
    assert request.object is not None
    assert request.object["metadata"] == {"name": "web"}
    assert request.old_object == {"spec": {"replicas": 1}}
    assert request.dry_run


def test_what_the_api_server_leaves_out_has_its_empty_value():
    request = read_review(
        make_review(
            name=None, namespace=None, requestKind=None, requestResource=None, userInfo=None, dryRun=None, object=None
        )
    )
    assert (request.name, request.namespace, request.sub_resource, request.dry_run) == ("", "", "", False)
    assert (request.request_kind, request.object, request.old_object) == (None, None, None)
    assert request.user_info.username == ""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", "truncated", id="nothing"),
        pytest.param(b"{", "truncated", id="half an object"),
        pytest.param(b"\xff", "malformed", id="no text"),
        pytest.param(b"[]", "Expected `object`, got `array`", id="a list"),
        pytest.param(b"{}", "missing required field `apiVersion`", id="an empty object"),
        pytest.param(make_review(operation=None), "missing required field `operation`", id="no operation"),
        pytest.param(make_review(uid=7), "Expected `str`, got `int` - at `$.request.uid`", id="uid as a number"),
        pytest.param(make_review(uid=""), "an empty request.uid", id="an empty uid"),
        pytest.param(make_review(object=[]), "Expected `object | null`, got `array`", id="a list as object"),
        pytest.param(make_review().replace(b"k8s.io/v1", b"k8s.io/v1beta1", 1), "v1beta1", id="another version"),
        pytest.param(make_review().replace(b"AdmissionReview", b"Pod"), "this is 'Pod'", id="another kind"),
        pytest.param(b'{"unknown":' + b"[" * 100_000, "recursion", id="a very deep one"),
    ],
)
def test_what_is_no_review_is_told_in_a_sentence(body, words):
    with pytest.raises(BadReview) as error:
        read_review(body)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@given(st.binary() | st.binary().map(lambda noise: make_review()[:-40] + noise))
def test_any_body_is_a_request_or_a_bad_review(body):
    with contextlib.suppress(BadReview):
        assert isinstance(read_review(body), Request)


# --- answer ----------------------------------------------------------------------------------------------------------


def test_an_allowed_request_gets_no_more_than_that():
    assert response(Verdict.allow(), "705a") == {"uid": "705a", "allowed": True}


def test_a_refusal_has_code_reason_and_message():  # [A2]
    assert response(Verdict.deny(403, "Forbidden", "exceeded quota: team-vision"))["status"] == {
        "status": "Failure", "code": 403, "reason": "Forbidden", "message": "exceeded quota: team-vision",
    }  # fmt: skip


def test_what_cannot_be_decided_is_denied_and_to_be_tried_again():  # [A13]
    answered = response(Verdict.try_again("team-vision is contended", 2))
    assert answered["allowed"] is False
    assert answered["status"] == {
        "status": "Failure", "code": 429, "reason": "TooManyRequests", "message": "team-vision is contended",
        "details": {"retryAfterSeconds": 2},
    }  # fmt: skip


def test_no_time_to_wait_is_still_a_second():
    """The API server takes 0 for "do not try again"."""
    assert response(Verdict.try_again("x", 0))["status"]["details"] == {"retryAfterSeconds": 1}


@pytest.mark.parametrize(
    ("message", "line"),
    [
        pytest.param("one\ntwo\r\n  three\n", "one two three", id="line ends are spaces"),
        pytest.param("a\x1b[31mb\x00\x9b", r"a\x1b[31mb\x00\x9b", id="escapes cannot reach a terminal"),
        pytest.param("a\u202eb\ud800", r"a\u202eb\ud800", id="nor can text change its direction"),
        pytest.param("团队", "团队", id="letters of any script stay"),
    ],
)
def test_messages_and_warnings_are_one_printable_line(message, line):
    assert response(Verdict.deny(403, "Forbidden", message))["status"]["message"] == line
    assert response(Verdict.allow(message))["warnings"] == [line]


def test_a_long_message_is_shortened():
    message = response(Verdict.deny(403, "Forbidden", "x" * 10_000))["status"]["message"]
    assert (len(message), message[-4:]) == (3000, "x...")


def test_warnings_are_shown_with_any_verdict():
    assert response(Verdict.allow("a", "b"))["warnings"] == ["a", "b"]
    assert response(Verdict.deny(403, "Forbidden", "no", warnings=["a"]))["warnings"] == ["a"]
    assert "warnings" not in response(Verdict.allow("", " "))


def test_a_long_warning_is_shortened_as_the_api_server_would_cut_it():
    (warning,) = response(Verdict.allow("w" * 300))["warnings"]
    assert (len(warning), warning[-4:]) == (250, "w...")


@given(st.lists(st.text(), max_size=60), st.integers(1, 40))
def test_all_warnings_of_an_answer_stay_below_what_the_api_server_passes_on(texts, times):
    warnings = response(Verdict.allow(*(text * times for text in texts))).get("warnings", [])
    assert sum(map(len, warnings)) < 4096
    assert all(0 < len(warning) <= 250 for warning in warnings)


def test_warnings_that_are_left_out_are_counted():
    warnings = response(Verdict.allow(*["w" * 250] * 20))["warnings"]
    assert len(warnings) == 16
    assert warnings[-1] == "and 5 more warnings"
