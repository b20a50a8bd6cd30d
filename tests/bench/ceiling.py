"""What the mock's speed is held against: an endpoint on the same server that reads a body and judges nothing.

Here lives no measuring. Its first line on stdout is its base URL, as the mock's is.
"""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ANSWER = (
    b'{"generation_id":"gen_0000000000000000","status":"queued","model":"kling-o3","mode":"text",'
    b'"created_at":"2026-01-01T00:00:00.000Z","poll_url":"http://127.0.0.1:8080/v1/generations/gen_0000000000000000"}'
)


async def generate(request: Request) -> Response:
    await request.body()
    return Response(ANSWER, media_type="application/json")


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    # Without its protocol asyncio leaves Nagle's algorithm on.
    listener = socket.socket(listener.family, listener.type, socket.IPPROTO_TCP, fileno=listener.detach())
    app = Starlette(routes=[Route("/v1/generate", generate, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, loop="asyncio", ws="none", lifespan="off", log_config=None))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server.run([listener])
