"""What is the test bed? A private, real Kubernetes control plane with fake nodes, for tests and for trying things out.

Run as ``python -m testbed``; tests use `testbed.cluster.Cluster`. The servers are built from the Go modules under
``modules/``, one folder a tool, because their requirements do not resolve together.
"""
