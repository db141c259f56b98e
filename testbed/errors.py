"""What can go wrong with a test bed?

BedError             always with a message for people that says what to do
+-- MissingTool      go or another program is not there, or too old
+-- BuildFailed      the Go build ended with an error; the message has its last lines and the log's path
+-- FolderInUse      a test bed already runs on this state folder
+-- FolderForeign    the state folder holds files that are not a test bed's
+-- NotRunning       no supervisor answers for this state folder
+-- ProcessDied      a server ended while it was waited for; the message has the last lines of its log
+-- NotReady         something did not become ready in time
+-- NotAvailable     a piece of the checkout that was asked for is not there
+-- KubectlFailed    kubectl ended with an error; the message is its stderr
+-- HelmFailed       helm ended with an error; the message is what it said
"""

from __future__ import annotations


class BedError(Exception):
    """The test bed cannot do what it was asked for."""


class MissingTool(BedError):
    """A program is not there, or too old."""


class BuildFailed(BedError):
    """The Go build ended with an error."""


class FolderInUse(BedError):
    """A test bed already runs on this state folder."""


class FolderForeign(BedError):
    """The state folder holds files that are not a test bed's."""


class NotRunning(BedError):
    """No supervisor answers for this state folder."""


class ProcessDied(BedError):
    """A server ended while it was waited for."""


class NotReady(BedError):
    """Something did not become ready in time."""


class NotAvailable(BedError):
    """A piece of the checkout that was asked for is not there."""


class KubectlFailed(BedError):
    """kubectl ended with an error."""


class HelmFailed(BedError):
    """helm ended with an error."""
