"""The crash-point sweep: every call out of a process in a job's life, times every way in which it can fail.

A journey is lived through once without faults, which counts its calls; then once more for each call and each fault that
is documented for it, until all is quiet. After each the laws must hold. So a new call is swept from the day on which it
is written.
"""
