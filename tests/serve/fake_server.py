"""A server without its port: it keeps the workers of a service running until it is told to end.

python -m tests.serve.fake_server < settings.json
"""

from __future__ import annotations

import signal
import sys

from tunesmith.serve.jobs.supervise import Supervisor
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database

if __name__ == "__main__":
    settings = Settings.model_validate_json(sys.stdin.readline())
    supervisor = Supervisor(Database(settings.database_url), settings, "tests.serve.fake_work")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    supervisor.start()
    signal.sigwait({signal.SIGTERM})
    supervisor.stop()
