"""A webhook receiver on Flask: `pip install flask prospec`, `flask --app receiver run`; it listens at /webhook.

The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in PROSPOLABS_WEBHOOK_OLD_SECRET.
"""

import os
import queue
import threading

from flask import Flask, request
from prospo import BadSignature, webhooks

NAMES = ("PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET")
SECRETS = [os.environ[name] for name in NAMES if os.environ.get(name)]
if not SECRETS:
    raise SystemExit(f"{NAMES[0]} is not set")
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1_000_000
seen = webhooks.Seen()  # with several processes, a unique key of your database: see webhooks.SeenStore
work: queue.Queue[webhooks.Event] = queue.Queue()  # in production the queue of your jobs, which outlives the process


@app.post("/webhook")
def webhook() -> tuple[str, int]:
    body = request.get_data()  # not request.json: the bytes that came were signed
    try:
        event = webhooks.unwrap(body, request.headers.get(webhooks.SIGNATURE_HEADER), SECRETS)
    except BadSignature:
        return "", 401
    if seen.is_new(event):  # a repeat is answered 2xx like the first, and handled once
        work.put(event)
    return "", 200


def handle() -> None:
    """The work itself, after the answer: the provider does not wait for it."""
    while True:
        match event := work.get():
            case webhooks.CompletedEvent():
                print(event.event, event.generation_id, event.cost_usd, "USD", flush=True)
            case webhooks.FailedEvent():
                print(event.event, event.generation_id, "refunded", flush=True)
            case _:
                pass  # an event that the documentation does not have


threading.Thread(target=handle, daemon=True).start()
