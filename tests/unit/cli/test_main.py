"""The command line, as a person meets it."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

import bizrq.controller.run
import bizrq.webhook.run
from bizrq import __version__
from bizrq.cli.main import main
from bizrq.settings import Autoscalers, Certificates, ControllerSettings, Mode, SecretName, WebhookSettings


@pytest.fixture
def told(monkeypatch):
    """The settings that the controller would have been started with."""
    told: list[ControllerSettings] = []
    monkeypatch.setattr(bizrq.controller.run, "run_controller", told.append)
    return told


def run(*arguments, env=None):
    return CliRunner().invoke(main, list(arguments), env=env or {})


def test_the_version_is_printed():
    assert run("--version").output == f"bizrq {__version__}\n"


def test_help_names_every_option_with_its_variable_and_default():
    help_ = " ".join(run("controller", "--help").output.split())
    for flag in (
        "resync-seconds", "metrics-port", "workloads", "gpu-resources", "log-format", "gather-seconds",
        "lease-namespace", "webhook-configuration", "webhook-secret", "webhook-certificates",
        "webhook-certificate-days", "webhook-propagation-seconds",
    ):  # fmt: skip
        assert f"--{flag}" in help_
        assert f"BIZRQ_{flag.upper().replace('-', '_')}" in help_
    assert "default: 300.0" in help_


def test_settings_come_from_flags_and_from_the_environment(told):
    run("controller", "--metrics-port", "0", env={"BIZRQ_RESYNC_SECONDS": "7", "BIZRQ_METRICS_PORT": "99"})
    assert (told[0].resync_seconds, told[0].metrics_port) == (7.0, 0)  # a flag wins


def test_gpu_resources_are_a_list_with_commas(told):  # [K2]
    run("controller", "--gpu-resources", "gpu, amd.com/xpu-*")
    assert "amd.com/xpu-1" in told[0].gpus
    assert "nvidia.com/mig-1g.5gb" not in told[0].gpus


@pytest.mark.parametrize(
    ("arguments", "env", "namespace"),
    [
        ([], {}, None),
        (["--lease-namespace=bizrq-system"], {}, "bizrq-system"),
        ([], {"BIZRQ_LEASE_NAMESPACE": "quotas"}, "quotas"),
        (["--lease-namespace="], {}, ""),
    ],
    ids=["that of the pod", "flag", "variable", "none"],
)
def test_the_namespace_of_the_lease_comes_from_the_flag(told, arguments, env, namespace):  # [R4]
    run("controller", *arguments, env=env)
    assert told[0].lease_namespace == namespace


def test_the_webhooks_certificate_is_kept_where_a_secret_is_named(told):
    run("controller")
    run("controller", "--webhook-secret=bizrq-system/bizrq-webhook", "--webhook-certificates=external",
        env={"BIZRQ_WEBHOOK_CONFIGURATION": "ours", "BIZRQ_WEBHOOK_CERTIFICATE_DAYS": "30",
             "BIZRQ_WEBHOOK_PROPAGATION_SECONDS": "60"})  # fmt: skip
    assert [
        (each.webhook_configuration, each.webhook_secret, each.webhook_certificates, each.webhook_certificate_days,
         each.webhook_propagation_seconds)
        for each in told
    ] == [
        ("bizrq", None, Certificates.OPERATOR, 90.0, 300.0),
        ("ours", SecretName("bizrq-system", "bizrq-webhook"), Certificates.EXTERNAL, 30.0, 60.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lease-namespace", "Not_a_name"], "'Not_a_name' is no name of a namespace"),
        (["--webhook-configuration", "Not_a_name"], "'Not_a_name' is no name of an object"),
        (["--webhook-secret", "bizrq-webhook"], "'bizrq-webhook' is no NAMESPACE/NAME of a Secret"),
        (["--webhook-secret", "bizrq-system/"], "'bizrq-system/' is no NAMESPACE/NAME"),
        (["--webhook-certificates", "nobody"], "'nobody' is not one of 'operator', 'external'"),
        (["--webhook-certificate-days", "0"], "0.0 is not in the range 0<x<=3650"),
        (["--webhook-certificate-days", "0.05"], "at least 0.0521 days"),
        (["--webhook-secret=a/b", "--webhook-configuration="], "--webhook-secret needs --webhook-configuration"),
        (["--resync-seconds", "0"], "0.0 is not in the range x>=1"),
        (["--resync-seconds", "soon"], "'soon' is not a valid float"),
        (["--metrics-port", "99999"], "99999 is not in the range 0<=x<=65535"),
        (["--workloads", "none.yaml"], "'none.yaml' does not exist"),
        (["--gpu-resources", " , "], "name at least one resource"),
        (["--log-format", "xml"], "'xml' is not one of 'text', 'json'"),
    ],
)
def test_a_wrong_argument_names_flag_value_and_the_way_out(told, arguments, words):
    result = run("controller", *arguments)
    assert (result.exit_code, told) == (2, [])
    assert arguments[0].partition("=")[0] in result.output
    assert words in result.output


def test_without_an_api_server_it_says_where_it_looked(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bizrq", "controller"],
        env={"HOME": str(tmp_path), "PATH": "", "PYTHONPATH": "operator"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "Error: no API server: no KUBECONFIG, no ~/.kube/config, not inside a cluster"
    )


def test_a_bad_file_of_kinds_ends_with_its_error(tmp_path):
    file = tmp_path / "kinds.yaml"
    file.write_text("kinds: [{kind: X}]")
    result = run("controller", "--workloads", str(file))
    assert result.exit_code == 1
    assert "kinds.yaml: kinds[0] (X): the field group is missing" in result.output


def test_help_and_version_do_not_load_kopf():
    """Only the controller process pays for it."""
    code = "import sys; from bizrq.cli.main import main; sys.exit('kopf' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "operator"}, check=True, timeout=60)


def test_only_a_controller_that_was_given_a_secret_loads_what_makes_certificates():
    code = (
        "import sys; import bizrq.cli.main, bizrq.controller.run, bizrq.webhook.run; "
        "sys.exit('cryptography' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "operator"}, check=True, timeout=60)


# --- webhook ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """The flags that name files which are there, with what is in them of no use."""
    flags = {}
    for flag in ("cert-file", "key-file", "path-token-file", "client-ca-file"):
        (tmp_path / flag).write_text("nothing")
        flags[flag] = f"--{flag}={tmp_path / flag}"
    return flags


@pytest.fixture
def webhook_told(monkeypatch):
    """The settings that the webhook would have been started with."""
    told: list[WebhookSettings] = []
    monkeypatch.setattr(bizrq.webhook.run, "run_webhook", told.append)
    return told


def test_the_webhook_takes_its_settings_from_flags_and_from_the_environment(webhook_told, files, tmp_path):
    result = run(
        "webhook", files["cert-file"], files["path-token-file"], "--port=0", "--gpu-resources=gpu",
        env={"BIZRQ_KEY_FILE": str(tmp_path / "key-file"), "BIZRQ_DRAIN_SECONDS": "2.5"},
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (settings,) = webhook_told
    assert (settings.cert_file, settings.key_file) == (tmp_path / "cert-file", tmp_path / "key-file")
    assert (settings.path_token_file, settings.client_ca_file) == (tmp_path / "path-token-file", None)
    assert (settings.port, settings.metrics_port, settings.drain_seconds) == (0, 8081, 2.5)
    assert "nvidia.com/mig-1g.5gb" not in settings.gpus


def test_the_webhook_lets_nobody_ask_unless_it_is_told_who_may(webhook_told, files):
    result = run("webhook", files["cert-file"], files["key-file"])
    assert (result.exit_code, webhook_told) == (2, [])
    assert "--path-token-file" in result.output
    assert "--client-ca-file" in result.output
    for who in ("path-token-file", "client-ca-file"):
        assert run("webhook", files["cert-file"], files["key-file"], files[who]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "env", "authorize"),
    [
        ([], {}, True),
        (["--authorize=false"], {}, False),
        (["--authorize=true"], {"BIZRQ_AUTHORIZE": "false"}, True),
        ([], {"BIZRQ_AUTHORIZE": "false"}, False),
        (["--authorize", "true"], {}, True),
    ],
)
def test_rights_are_asked_for_unless_it_is_turned_off(webhook_told, files, arguments, env, authorize):
    """[A12]"""
    result = run("webhook", files["cert-file"], files["key-file"], files["path-token-file"], *arguments, env=env)
    assert result.exit_code == 0, result.output
    assert webhook_told[0].authorize == authorize


def test_autoscalers_are_warned_about_unless_they_are_to_be_refused(webhook_told, files):
    """[A10]"""
    needed = (files["cert-file"], files["key-file"], files["path-token-file"])
    for arguments in ([], ["--autoscalers=refuse"]):
        assert run("webhook", *needed, *arguments).exit_code == 0
    assert [each.autoscalers for each in webhook_told] == [Autoscalers.WARN, Autoscalers.REFUSE]
    assert "'no' is not one of 'warn', 'refuse'" in run("webhook", *needed, "--autoscalers=no").output


def test_trusted_controllers_are_names_with_commas_that_take_the_place_of_the_default(webhook_told, files):
    """[A8, A11, A12]"""
    needed = (files["cert-file"], files["key-file"], files["path-token-file"])
    run("webhook", *needed)
    run("webhook", *needed, "--trusted-controllers=system:kube-controller-manager, system:serviceaccount:a:b,")
    assert [each.trusted_controllers for each in webhook_told] == [
        (
            "system:kube-controller-manager",
            "system:serviceaccount:kube-system:deployment-controller",
            "system:serviceaccount:kube-system:replicaset-controller",
            "system:serviceaccount:kube-system:replication-controller",
            "system:serviceaccount:kube-system:statefulset-controller",
            "system:serviceaccount:kube-system:job-controller",
            "system:serviceaccount:kube-system:cronjob-controller",
            "system:serviceaccount:kube-system:daemon-set-controller",
        ),
        ("system:kube-controller-manager", "system:serviceaccount:a:b"),
    ]


def test_the_mode_is_enforce_or_warn_and_the_controller_takes_it_too(webhook_told, told, files):
    """Both processes may be given the same."""
    needed = (files["cert-file"], files["key-file"], files["path-token-file"])
    run("webhook", *needed)
    run("webhook", *needed, env={"BIZRQ_MODE": "warn"})
    assert [each.mode for each in webhook_told] == [Mode.ENFORCE, Mode.WARN]
    assert "'off' is not one of 'enforce', 'warn'" in run("webhook", *needed, "--mode=off").output
    assert run("controller", "--mode=warn", "--trusted-controllers=a").exit_code == 0
    assert run("controller", "--mode=off").exit_code == 2


def test_files_that_somebody_is_about_to_make_need_not_be_there_and_an_authority_must(webhook_told, files, tmp_path):
    flags = [f"--{name}={tmp_path / 'none'}" for name in ("cert-file", "key-file", "path-token-file")]
    assert run("webhook", *flags).exit_code == 0
    result = run("webhook", *flags, f"--client-ca-file={tmp_path / 'none'}")
    assert (result.exit_code, len(webhook_told)) == (2, 1)
    assert "does not exist" in result.output


@pytest.mark.parametrize("missing", ["cert-file", "key-file"])
def test_the_webhook_needs_a_certificate_and_its_key(webhook_told, files, missing):
    result = run("webhook", *(flag for name, flag in files.items() if name != missing))
    assert (result.exit_code, webhook_told) == (2, [])
    assert f"Missing option '--{missing}'" in result.output


def test_a_bad_certificate_ends_the_webhook_with_the_names_of_the_files(files, tmp_path):
    config = tmp_path / "kubeconfig"
    config.write_text(
        "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [], current-context: c, "
        "contexts: [{name: c, context: {cluster: c, user: ''}}]}"
    )
    result = run("webhook", *files.values(), env={"KUBECONFIG": str(config)})
    assert result.exit_code == 1
    assert f"Error: certificate ({tmp_path / 'cert-file'}, {tmp_path / 'key-file'}" in result.output
    assert "is no PEM file" in result.output
