"""A webhook receiver on the standard library: `pip install prospec`, `python receiver.py 8000`; it listens anywhere.

The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in PROSPOLABS_WEBHOOK_OLD_SECRET.
"""

import os
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prospo import BadSignature, webhooks

NAMES = ("PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET")
SECRETS = [os.environ[name] for name in NAMES if os.environ.get(name)]
MAX_BYTES = 1_000_000
seen = webhooks.Seen()  # with several processes, a unique key of your database: see webhooks.SeenStore
work: queue.Queue[webhooks.Event] = queue.Queue()  # in production the queue of your jobs, which outlives the process


class Receiver(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self.answer(411)
        if len(length) > 9 or int(length) > MAX_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(length))
        signatures = self.headers.get_all(webhooks.SIGNATURE_HEADER, [])
        try:
            event = webhooks.unwrap(body, ", ".join(signatures), SECRETS)
        except BadSignature:
            return self.answer(401)
        if seen.is_new(event):  # a repeat is answered 2xx like the first, and handled once
            work.put(event)
        return self.answer(200)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    if not SECRETS:
        raise SystemExit(f"{NAMES[0]} is not set")
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        match event := work.get():  # the work itself, after the answer: the provider does not wait for it
            case webhooks.CompletedEvent():
                print(event.event, event.generation_id, event.cost_usd, "USD", flush=True)
            case webhooks.FailedEvent():
                print(event.event, event.generation_id, "refunded", flush=True)
            case _:
                pass  # an event that the documentation does not have
