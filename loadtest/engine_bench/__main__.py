"""`python -m engine_bench`."""

import sys

from engine_bench.command_line import main

sys.exit(main())
