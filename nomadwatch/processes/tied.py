"""Imported first by the fork server, so that it ends with the main process, and the roles with it.

A role that holds the interpreter cannot watch the main process itself. Signals to the process group are for the main
process only, which ends the others in order.

"""

import os

from nomadwatch.processes.process import MAIN_PROCESS, end_with_os_parent, leave_group

if os.environ.get(MAIN_PROCESS) == str(os.getppid()):
    end_with_os_parent()
    leave_group(forget=True)
