"""The whole service in memory and in virtual time: every port of the services, and a World that runs them.

Nothing here sleeps, opens a socket or reads the real time. A seed and the injected faults determine a run completely.
"""
