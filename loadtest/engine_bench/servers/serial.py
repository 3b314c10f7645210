"""The serial design: one high-level `Llama` object behind a lock, one answer at a time, as small services are built.

    python -m engine_bench.servers.serial MODEL PORT CONTEXT THREADS

It speaks as much of the OpenAI API as the comparison asks for. Prompts are written in ChatML, the format of the
benchmark's models.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import llama_cpp
import uvicorn
from fastapi import FastAPI, Request
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import StreamingResponse

_NAMES = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "max_tokens")


def create_app(model: str, context: int, threads: int) -> FastAPI:
    """The app, with the model loaded."""
    llama = llama_cpp.Llama(
        model, n_ctx=context, n_threads=threads, n_threads_batch=threads, flash_attn=True, verbose=False
    )
    turn = asyncio.Lock()
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def answer(request: Request) -> StreamingResponse:
        body = json.loads(await request.body())

        async def events() -> AsyncIterator[bytes]:
            async with turn:
                async for event in iterate_in_threadpool(_events(llama, body)):
                    yield b"data: " + json.dumps(event).encode() + b"\n\n"
            yield b"data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return app


def _events(llama: Any, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    prompt = "".join(f"<|im_start|>{each['role']}\n{each['content']}<|im_end|>\n" for each in body["messages"])
    ids = llama.tokenize((prompt + "<|im_start|>assistant\n").encode(), add_bos=False, special=True)
    resident = llama._input_ids[: llama.n_tokens]
    cached = llama_cpp.Llama.longest_token_prefix(resident, ids[:-1])
    count, finish = 0, None
    for chunk in llama.create_completion(ids, stream=True, **{name: body[name] for name in _NAMES}):
        choice = chunk["choices"][0]
        finish = choice["finish_reason"] or finish
        if choice["text"]:
            count += 1
            yield {"choices": [{"delta": {"content": choice["text"]}, "finish_reason": None}]}
    usage = {
        "prompt_tokens": len(ids),
        "completion_tokens": count,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    yield {"choices": [{"delta": {}, "finish_reason": finish}], "usage": usage}


if __name__ == "__main__":
    uvicorn.run(
        create_app(sys.argv[1], int(sys.argv[3]), int(sys.argv[4])),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        log_level="error",
        access_log=False,
    )
