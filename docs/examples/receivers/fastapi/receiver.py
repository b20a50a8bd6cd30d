"""A webhook receiver on FastAPI: `pip install fastapi uvicorn`, `uvicorn receiver:app`; it listens at /webhook.

The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in PROSPOLABS_WEBHOOK_OLD_SECRET.
"""

import hmac
import json
import os

from fastapi import BackgroundTasks, FastAPI, Request, Response

NAMES = ("PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET")
SECRETS = [os.environ[name].encode() for name in NAMES if os.environ.get(name)]
if not SECRETS:
    raise SystemExit(f"{NAMES[0]} is not set")
MAX_BYTES = 1_000_000
app = FastAPI()
seen: set[tuple[str, str]] = set()  # in production a unique key of your database, written before the 200


def is_genuine(body: bytes, signature: str) -> bool:
    given = signature.encode("latin-1")  # bytes may differ in length, and hold anything; text beyond ASCII would throw
    return any(hmac.compare_digest(hmac.new(key, body, "sha256").hexdigest().encode(), given) for key in SECRETS)


@app.post("/webhook")
async def webhook(request: Request, tasks: BackgroundTasks) -> Response:
    body = b""  # these bytes were signed; what a parser makes of them was not
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            return Response(status_code=413)
    if not is_genuine(body, request.headers.get("X-Prospo-Signature", "")):
        return Response(status_code=401)
    try:
        event = json.loads(body)
        key = (event["generation_id"], event["event"])
        if key not in seen:  # a repeat is answered 2xx like the first, and done once
            seen.add(key)
            tasks.add_task(handle, event)
    except (ValueError, TypeError, KeyError, RecursionError):
        return Response(status_code=400)
    return Response(status_code=200)


def handle(event: dict) -> None:
    """The work itself, after the answer: the provider does not wait for it."""
    print(event["event"], event["generation_id"], flush=True)
