"""A webhook receiver on Django: `pip install django prospec`, `python receiver.py runserver`; it listens at /webhook.

The view is what you need of it. The secret is in PROSPOLABS_WEBHOOK_SECRET; while a new one takes over, the old one in
PROSPOLABS_WEBHOOK_OLD_SECRET.
"""

import os
import queue
import sys
import threading

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from prospo import BadSignature, webhooks

NAMES = ("PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET")
SECRETS = [os.environ[name] for name in NAMES if os.environ.get(name)]
if not SECRETS:
    raise SystemExit(f"{NAMES[0]} is not set")
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], DATA_UPLOAD_MAX_MEMORY_SIZE=1_000_000)
seen = webhooks.Seen()  # with several processes, a unique key of your database: see webhooks.SeenStore
work: queue.Queue[webhooks.Event] = queue.Queue()  # in production the queue of your jobs, which outlives the process


@csrf_exempt  # the signature says who it is from
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    try:
        event = webhooks.unwrap(request.body, request.headers.get(webhooks.SIGNATURE_HEADER), SECRETS)
    except BadSignature:
        return HttpResponse(status=401)
    if seen.is_new(event):  # a repeat is answered 2xx like the first, and handled once
        work.put(event)
    return HttpResponse(status=200)


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


urlpatterns = [path("webhook", webhook)]
threading.Thread(target=handle, daemon=True).start()
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
