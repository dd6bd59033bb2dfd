"""The whole service in memory, in virtual time: every port of the services, and a World that runs them.

Nothing here sleeps, opens a socket or asks the clock. What happens is decided by a seed and by the faults that a test
puts on the line; the same seed and faults give the same run.
"""
