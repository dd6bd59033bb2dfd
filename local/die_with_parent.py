"""Run a command until it ends or standard input closes, so that it cannot outlive the process at the other end.

`python die_with_parent.py HOME COMMAND…`. At the end it kills the process group and deletes the folder HOME. It is run
by path and by any interpreter, so it imports only the standard library.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

TERMINATE_SECONDS = 8.0


def stop_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(TERMINATE_SECONDS)
    child.kill()


def main() -> None:
    home, *command = sys.argv[1:]
    os.chdir(home)
    # A handler, because the child would inherit SIG_IGN.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
        threading.Thread(target=stop_at_end_of_input, args=(child,), daemon=True).start()
        child.wait()
    shutil.rmtree(home, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
