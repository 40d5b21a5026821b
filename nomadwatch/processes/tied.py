"""Imported first by the fork server: it ends with the main process, and takes the roles with it (each follows the fork
server).

A role that holds the interpreter cannot watch the main process itself. A signal to the process group is for the main
process alone, which ends the others in their order.
"""

import os

from nomadwatch.processes.process import MAIN_PROCESS, end_with_os_parent, leave_group

if os.environ.get(MAIN_PROCESS) == str(os.getppid()):
    end_with_os_parent()
    leave_group(forget=True)
