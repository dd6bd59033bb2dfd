"""Run a Python module for as long as standard input stays open, so that it cannot outlive the process that started it.

Run by path, with the interpreter of another environment: nothing but the standard library may be imported here.
"""

import os
import runpy
import signal
import sys
import threading


def end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    # The whole group: what the module has started must not outlive it either.
    os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    module, sys.argv = sys.argv[1], sys.argv[1:]
    sys.path.pop(0)  # this folder, which python puts there for a script: its modules are not the module's to import
    threading.Thread(target=end_with_parent, daemon=True).start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
