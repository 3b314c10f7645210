"""Answers in the OpenAI format with the work that was asked for, or with some other: what the engine bench must notice.

    python -m parts.lying_server LIE PORT

LIE: honest, few (a token less than it says), counts (other counts than it gives), silent (none), early
(says that it came to an end), busy (503 to every second request after the first ones), stuck (ends while it answers).
"""

import http.server
import json
import os
import sys

from engine_bench.load.texts import prompt_tokens, tokens_in

FREE_REQUESTS = 6
"""Honest answers before the lie begins: readiness and warming up."""


class LyingServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, lie: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.lie, self.requests = lie, 0


class Handler(http.server.BaseHTTPRequestHandler):
    server: LyingServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests += 1
        lie = self.server.lie if self.server.requests > FREE_REQUESTS else "honest"
        if lie == "busy" and self.server.requests % 2:
            self.send_error(503)
            return
        if lie == "stuck":
            os._exit(9)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        count, prompt = asked["max_tokens"], prompt_tokens(asked["messages"])
        assert all(tokens_in(each["content"]) >= 0 for each in asked["messages"])
        for _ in range(count - (lie == "few")):
            self.say({"choices": [{"delta": {"content": "123"}, "finish_reason": None}]})
        self.say({"choices": [{"delta": {}, "finish_reason": "stop" if lie == "early" else "length"}]})
        usage = {"prompt_tokens": prompt - (lie == "counts"), "completion_tokens": count}
        if lie != "silent":
            self.say({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def say(self, event: dict[str, object]) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    LyingServer(int(sys.argv[2]), sys.argv[1]).serve_forever()
