"""A drain to kill: `python -m tests.storage.draining_process directory file lazy|prompt`."""

import signal
import sys
import threading
from pathlib import Path

from storage.drain import drain
from tests.storage.recording_sinks import FileSink

if __name__ == "__main__":
    directory, file, manner = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # Not on the main thread: the handler must not interrupt what waits for the event it sets.
    draining = threading.Thread(
        target=drain,
        args=(Path(directory), FileSink(Path(file), lazy=manner == "lazy")),
        kwargs={"stop": stop, "batch_records": 20, "idle_seconds": 0.005},
    )
    draining.start()
    draining.join()
