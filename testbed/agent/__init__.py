"""How are pods run that must really run? A kubelet in small, which runs the containers of one node as local processes.

kwok only says that its pods run. What the chart of bizrq installs has to run, though, to be tried: so one more node is
kept by this agent, ``python -m testbed.agent``, a process of the test bed like the others.
"""
