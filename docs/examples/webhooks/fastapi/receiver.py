"""A webhook receiver on FastAPI: `pip install fastapi uvicorn prospec`, `uvicorn receiver:app`; it listens at /webhook.

The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in PROSPOLABS_WEBHOOK_OLD_SECRET.
"""

import os

from fastapi import BackgroundTasks, FastAPI, Request, Response
from prospo import BadSignature, webhooks

NAMES = ("PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET")
SECRETS = [os.environ[name] for name in NAMES if os.environ.get(name)]
if not SECRETS:
    raise SystemExit(f"{NAMES[0]} is not set")
MAX_BYTES = 1_000_000
app = FastAPI()
seen = webhooks.Seen()  # with several processes, a unique key of your database: see webhooks.SeenStore


@app.post("/webhook")
async def webhook(request: Request, tasks: BackgroundTasks) -> Response:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            return Response(status_code=413)
    signatures = request.headers.getlist(webhooks.SIGNATURE_HEADER)
    try:
        event = webhooks.unwrap(body, ", ".join(signatures), SECRETS)
    except BadSignature:
        return Response(status_code=401)
    if seen.is_new(event):  # a repeat is answered 2xx like the first, and handled once
        tasks.add_task(handle, event)
    return Response(status_code=200)


def handle(event: webhooks.Event) -> None:
    """The work itself, after the answer: the provider does not wait for it."""
    match event:
        case webhooks.CompletedEvent():
            print(event.event, event.generation_id, event.cost_usd, "USD", flush=True)
        case webhooks.FailedEvent():
            print(event.event, event.generation_id, "refunded", flush=True)
        case _:
            pass  # an event that the documentation does not have
