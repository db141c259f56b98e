"""`bizrq check`: what an answer of the API server means. What it says of a real webhook: tests/e2e/test_check.py."""

import pytest
from click.testing import CliRunner

from bizrq.cli.check import CheckError, try_refusal
from bizrq.cli.main import main
from bizrq.cluster.errors import Denied, Invalid, NotFound, Unavailable

PROBE = "POST /apis/quota.bizrq.io/v1/bizgroupresourcequotas: "
CALL = 'Internal error occurred: failed calling webhook "bizrqs.quota.bizrq.io": failed to call webhook: '


class Server:
    """Answers the probe."""

    def __init__(self, answer):
        self.answer = answer

    async def try_post(self, _path, body):
        assert body["spec"]["hard"] == {"pods": "0"}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_a_refusal_by_the_webhook_is_what_is_wanted():
    denied = Denied(f'{PROBE}403 admission webhook "bizrqs.quota.bizrq.io" denied the request: no such parent')
    assert await try_refusal(Server(denied)) == "the webhook refuses, as it should: no such parent"


async def test_a_warning_of_what_would_be_refused_will_do():
    told = await try_refusal(Server(["not enforced, would be refused: no such", "parent"]))
    assert told == "the webhook only warns, as it is told to: not enforced, would be refused: no such parent"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param([], "it asks nobody", id="stored"),
        pytest.param(["deprecated"], "it asks nobody", id="stored, with a warning of somebody else"),
        pytest.param(Denied(f"{PROBE}403 forbidden: User x"), "needs the right to create", id="no right"),
        pytest.param(
            Denied(f'{PROBE}403 admission webhook "others.example.com" denied the request: no'),
            "somebody else refuses it",
            id="refused by another webhook",
        ),
        pytest.param(
            Denied(f"{PROBE}403 forbidden: ValidatingAdmissionPolicy 'names' with binding 'all' denied request: no"),
            "somebody else refuses it",
            id="refused by a policy",
        ),
        pytest.param(NotFound(f"{PROBE}404"), "apply the CRD", id="no CRD"),
        pytest.param(Invalid(f"{PROBE}422 spec"), "no verdict", id="refused by the schema"),
        pytest.param(
            Unavailable(f"{PROBE}500 {CALL}x509: unknown authority"), "does not believe", id="another authority"
        ),
        pytest.param(
            Unavailable(f"{PROBE}500 {CALL}no endpoints available for service"),
            "no pod of the webhook is ready",
            id="no pod",
        ),
        pytest.param(
            Unavailable(f"{PROBE}500 {CALL}context deadline exceeded"), "NetworkPolicy", id="nothing comes back"
        ),
        pytest.param(
            Unavailable(f"{PROBE}500 {CALL}the server could not find the requested resource"),
            "token",
            id="another token",
        ),
        pytest.param(
            Unavailable(f'{PROBE}500 {CALL}service "bizrq-webhook" not found'), "the Service", id="no Service"
        ),
    ],
)
async def test_everything_else_fails_and_says_what_to_look_at(answer, said):
    with pytest.raises(CheckError, match=said):
        await try_refusal(Server(answer))


def test_without_a_cluster_it_says_where_it_looked():
    told = CliRunner().invoke(main, ["check"], env={"KUBECONFIG": "/nowhere"})
    assert (told.exit_code, "/nowhere" in told.output) == (1, True)
