"""The crash sweep: every fault at every call out of a process, in every journey of a job.

A journey runs once without faults, which lists its calls; then once for each call and each fault that is possible
there. When the world is idle, the laws must hold. A new call is therefore covered without further work.
"""
