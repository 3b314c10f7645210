"""`python -m engine_bench`."""

import signal
import sys

from engine_bench.command_line import main

signal.signal(signal.SIGTERM, signal.default_int_handler)  # timeout(1) ends it as Ctrl-C does
sys.exit(main())
