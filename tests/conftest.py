"""Settings for all tests.

Hypothesis: no deadline, since a busy machine is no failure; a failing example can be repeated from the printed blob.
Where the variable CI is set, the same examples are tried each time.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("bizrq", deadline=None, print_blob=True)
settings.register_profile("bizrq-ci", settings.get_profile("bizrq"), derandomize=True)
settings.load_profile("bizrq-ci" if os.environ.get("CI") else "bizrq")
