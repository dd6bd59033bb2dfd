"""Run a command until it ends or standard input does, so that it cannot outlive the process that holds the other end.

`python die_with_parent.py HOME COMMAND…`; at the end the whole process group dies and the folder HOME goes. Run
by path, with any interpreter: nothing but the standard library may be imported here.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

POLITE_SECONDS = 8.0


def stop_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(POLITE_SECONDS)
    child.kill()


def main() -> None:
    home, *command = sys.argv[1:]
    os.chdir(home)
    # A handler, not SIG_IGN: that one the child would inherit.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
        threading.Thread(target=stop_at_end_of_input, args=(child,), daemon=True).start()
        child.wait()
    shutil.rmtree(home, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
