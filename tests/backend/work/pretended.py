"""Work for the worker that shows one behaviour each, chosen by the job's seed. Given to a server by its settings."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import numpy as np
from stepsmith.backend.jobs.work import Order
from stepsmith.backend.progress import Progress
from stepsmith.retarget.errors import MotionError, StepsmithError
from stepsmith.retarget.files import save_motion
from stepsmith.retarget.motion import Motion

QUICK, SLOW, KILLED_ONCE, KILLED, REFUSED, BROKEN, DEAF, NOISY, NO_MEMORY, NO_ROOM, NO_ROOM_TO_SAVE = range(11)


def dance(order: Order, progress: Progress) -> None:
    seed = order.request["seed"]
    progress(0.1, "Beginning")
    if seed == SLOW:
        # Until the gate opens, or somebody stops it.
        gate = Path(os.environ["STEPSMITH_TEST_GATE"])
        for step in range(600):
            progress(0.1 + step / 1000, "Going on")
            if gate.exists():
                break
            time.sleep(0.05)
    elif seed == KILLED_ONCE:
        marker = order.out.with_suffix(".seen")
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        marker.unlink()
    elif seed == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    elif seed == REFUSED:
        raise StepsmithError("This song can't be danced to: choose another.")
    elif seed == BROKEN:
        raise ZeroDivisionError("three by\nnothing")
    elif seed == NO_MEMORY:
        raise MemoryError
    elif seed == NO_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    elif seed == NO_ROOM_TO_SAVE:
        raise MotionError("“x.npz” can't be written.") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    elif seed == DEAF:
        time.sleep(60)
    elif seed == NOISY:
        print("libraries print all sorts of things")
        os.write(1, b'{"error": "not from us"}\n')
    rest = np.tile([1.0, 0.0, 0.0, 0.0], (30, 24, 1))
    save_motion(order.out, Motion(30, np.zeros((30, 3)), rest, np.ones((30, 4)), meta={"pid": os.getpid()}))


KINDS = {"dance": dance}
