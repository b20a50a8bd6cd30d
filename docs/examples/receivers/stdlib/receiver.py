"""A webhook receiver, of Python's standard library alone: `python receiver.py [PORT]`; its URL is printed first.

The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in PROSPOLABS_WEBHOOK_OLD_SECRET.
"""

import hmac
import json
import os
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAMES = ("PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET")
SECRETS = [os.environ[name].encode() for name in NAMES if os.environ.get(name)]
MAX_BYTES = 1_000_000
work: queue.Queue[dict] = queue.Queue()
seen: dict[tuple[str, str], dict] = {}  # in production a unique key of your database, written before the 200


def is_genuine(body: bytes, signature: str) -> bool:
    given = signature.encode("latin-1")  # bytes may differ in length, and hold anything; text beyond ASCII would throw
    return any(hmac.compare_digest(hmac.new(key, body, "sha256").hexdigest().encode(), given) for key in SECRETS)


class Receiver(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self.answer(411)
        if len(length) > 9 or int(length) > MAX_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(length))  # these bytes were signed; what a parser makes of them was not
        if not is_genuine(body, self.headers.get("X-Prospo-Signature", "")):
            return self.answer(401)
        try:
            event = json.loads(body)
            if seen.setdefault((event["generation_id"], event["event"]), event) is event:
                work.put(event)  # once: a repeat is answered 2xx like the first, and nothing is done
        except (ValueError, TypeError, KeyError, RecursionError):
            return self.answer(400)
        return self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    if not SECRETS:
        sys.exit(f"{NAMES[0]} is not set")
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    while event := work.get():  # the work itself, after the answer: the provider does not wait for it
        print(event["event"], event["generation_id"], flush=True)
