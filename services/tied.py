"""`python -m services.tied PID command ...`: becomes the command, and ends with SIGKILL when process PID ends.

So no test leaves a server behind, not even one that was itself killed (on Linux; elsewhere only one that ended well).
"""

import os
import sys

from processes.lifeline import die_with

if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
