"""How are etcd, the API server, the controller manager, the scheduler and kwok started, and when are they ready?

Each function gives one server's command line, seen from the state folder as working directory. etcd listens on sockets
in that private folder: no port to lose to another test bed, and no way around the API server for other users of the
machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CERTS = "certs"
AUTHORITY = f"{_CERTS}/apiserver.crt"  # the API server writes its own CA behind its certificate
# The API server makes this key before it reads the flags that name it, so no other program has to make one.
_KEY = f"{_CERTS}/apiserver.key"
# etcd wants HOST:PORT after unix:// and makes a socket of that very name.
_ETCD_CLIENT, _ETCD_PEER = "unix://etcd.client:1", "unix://etcd.peer:1"
# A test network [RFC 5737]. It ends up in the endpoints of the kubernetes Service, which no fake pod ever calls; with
# a fixed one the machine needs no network.
_ADVERTISED = "192.0.2.1"
# At the default of 20 requests a second the controller manager needs 5 s to start with an identity for each controller.
_RATE = ("--kube-api-qps=500", "--kube-api-burst=1000")


def etcd(binary: Path, *, durable: bool) -> list[str]:
    """A single etcd; without fsync unless ``durable``, because a test's data need not survive the machine."""
    return [
        str(binary),
        "--data-dir=etcd",
        f"--listen-client-urls={_ETCD_CLIENT}",
        f"--advertise-client-urls={_ETCD_CLIENT}",
        f"--listen-peer-urls={_ETCD_PEER}",
        f"--initial-advertise-peer-urls={_ETCD_PEER}",
        f"--initial-cluster=default={_ETCD_PEER}",
        *(() if durable else ("--unsafe-no-fsync",)),
    ]


def apiserver(binary: Path, port: int, tokens: str, more: Sequence[str] = ()) -> list[str]:
    """The API server on 127.0.0.1, told ``more`` than it always is; it waits for etcd by itself."""
    return [
        str(binary),
        f"--etcd-servers={_ETCD_CLIENT}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--advertise-address={_ADVERTISED}",
        f"--cert-dir={_CERTS}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={_KEY}",
        f"--service-account-signing-key-file={_KEY}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",  # pods need no token: nothing runs in them
        "--enable-aggregator-routing=true",  # webhooks by service: endpoints instead of cluster addresses
        "--allow-privileged=true",
        *more,
    ]


def controller_manager(binary: Path, kubeconfig: Path) -> list[str]:
    """All controllers, each under its own service account of kube-system."""
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={_KEY}",
        f"--root-ca-file={AUTHORITY}",  # each namespace gets it as the ConfigMap kube-root-ca.crt
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--secure-port=0",
        "--flex-volume-plugin-dir=tmp/flexvolume",  # else it makes a folder under /usr
        *_RATE,
    ]


def scheduler(binary: Path, kubeconfig: Path) -> list[str]:
    """The scheduler with its default plugins."""
    return [str(binary), f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *_RATE]


def kwok(binary: Path, kubeconfig: Path) -> list[str]:
    """kwok, which plays the kubelet of every node that is annotated as one of its own."""
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--enable-crds=Stage",
        # Without leases a node counts as lost 50 s after each of kwok's heartbeats, which come every 10 minutes.
        "--node-lease-duration-seconds=40",
        "--cidr=10.64.0.0/12",  # for a million pods; the default has 254 addresses
    ]
