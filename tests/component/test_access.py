"""[A12] what the API server is asked about somebody's right, and what becomes of its answers."""

import json
from unittest.mock import Mock

import pytest

from bizrq.cluster.access import Answer, ApiAccess, Question
from bizrq.cluster.errors import Denied, NotFound, Unavailable
from bizrq.cluster.reads import ApiReads

QUESTION = Question(
    "use", "team-a", "alice", namespace="shop", uid="u1", groups=("a", "b"), extra={"scopes": ["x", "y"]}
)


class Server:
    """Answers one question."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    async def post(self, path, body):
        self.asked.append((path, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return json.dumps(self.answer).encode()


def ask(server):
    return ApiAccess(server).allowed(QUESTION)


async def test_a_subject_access_review_says_who_wants_what_and_where():
    """[A12]"""
    server = Server({"kind": "SubjectAccessReview", "status": {"allowed": True, "reason": "RBAC: ..."}})
    assert await ask(server) == Answer(allowed=True)
    ((path, body),) = server.asked
    assert path == "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert body == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "group": "quota.bizrq.io",
                "version": "v1",
                "resource": "bizgroupresourcequotas",
                "verb": "use",
                "name": "team-a",
                "namespace": "shop",
            },
            "user": "alice",
            "uid": "u1",
            "groups": ["a", "b"],
            "extra": {"scopes": ["x", "y"]},
        },
    }


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ({"allowed": False}, Answer(allowed=False)),
        ({"allowed": False, "denied": True}, Answer(allowed=False)),
        ({"allowed": False, "evaluationError": "role x not found"}, Answer(allowed=False, complete=False)),
        ({"allowed": True, "evaluationError": "role x not found"}, Answer(allowed=True, complete=False)),
    ],
)
async def test_an_answer_that_could_not_go_by_all_there_is_says_so(status, answer):
    """[A12]"""
    assert await ask(Server({"status": status})) == answer


@pytest.mark.parametrize("body", [{}, {"status": {}}, {"status": {"allowed": "yes"}}, {"status": None}])
async def test_what_is_no_answer_is_neither_yes_nor_no(body):
    """[A13]"""
    with pytest.raises(Unavailable):
        await ask(Server(body))


async def test_a_question_that_may_not_be_asked_is_an_error():
    """[A13]"""
    with pytest.raises(Denied):
        await ask(Server(Denied("403")))


@pytest.mark.parametrize(
    ("metadata", "labels"),
    [({"name": "shop", "labels": {"a": "b"}}, {"a": "b"}), ({"name": "shop"}, {}), (None, {})],
    ids=["labels", "no labels", "no namespace"],
)
async def test_the_labels_of_a_namespace_are_read_live(metadata, labels):
    """[A11]"""

    async def get_object(path):
        assert path == "/api/v1/namespaces/shop"
        if metadata is None:
            raise NotFound(path)
        return {"metadata": metadata}

    server = Mock(get_object=get_object)
    assert await ApiReads(server).namespace_labels("shop") == labels
