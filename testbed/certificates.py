"""Where does the certificate of a server that the API server calls come from?

helm makes it, by a chart that is only rendered: so the test bed needs no further program or library for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from testbed import chart, statefolder
from testbed.control import ROOT

_CHART: Final = ROOT / "testbed" / "charts" / "certificates"


AUTHORITY, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"


def make(folder: Path) -> None:
    """Make in the folder a certificate for 127.0.0.1 and localhost, its key, and that of who signed it; all as PEM.

    Raises HelmFailed.
    """
    (secret,) = chart.render(_CHART)
    for name in (AUTHORITY, CERTIFICATE, KEY):
        statefolder.write_private(folder / name, secret["stringData"][name])
