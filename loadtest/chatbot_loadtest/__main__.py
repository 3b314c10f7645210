"""`python -m chatbot_loadtest`: sockets become cooperative before anything else is imported, as Locust needs it."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

from chatbot_loadtest.command_line import main  # noqa: E402

sys.exit(main())
