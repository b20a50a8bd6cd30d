"""A user's program that uses all of the client: checked in strict mode by both type checkers, and run on the mock."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path
from typing import assert_type

import httpx2
import prospo
from prospo.types import Seedance2FastTextParams, Seedance2FastTextRequest

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
PARAMS: Seedance2FastTextParams = {"prompt": "A red ball", "duration": 6}
REQUEST: Seedance2FastTextRequest = {"model": "seedance-2-fast", "params": {"prompt": "A red ball"}}


def blocking() -> None:
    with prospo.Client(poll_s=0.02, budget_usd="20", timeout_s=60) as client:
        result = client.seedance_2_fast.text(prompt="A red ball", duration=6, aspect_ratio="16:9")
        assert_type(result, prospo.Result)
        assert_type(result.cost_usd, Decimal | None)
        assert_type(result.output_url, prospo.SignedUrl | None)
        assert_type(client.seedance_2_fast.text(**PARAMS), prospo.Result)
        assert_type(client.generate(model="seedance-2-fast", mode="text", params=PARAMS), prospo.Result)
        assert_type(client.generate(model="kling-o3", params={"prompt": "x"}, max_cost_usd=1), prospo.Result)

        job = client.seedance_2_fast.submit_text(prompt="A red ball", duration=10)
        assert_type(job, prospo.Job)
        again = client.job(job.checkpoint())
        print(again.wait(timeout_s=60, on_update=lambda seen: print(seen.status)).status)
        assert_type(again.result(), prospo.Result)
        assert_type(client.submit(model="kling-o3", params={"prompt": "x"}).status(), prospo.Result)

        path = FOLDER / "ball.png"
        image = client.seedream_5_lite.generate(prompt="A red ball")
        assert_type(image.download(path, on_progress=lambda done, total: None), Path)
        token = client.upload(path)
        assert_type(token, prospo.UploadToken)
        client.seedance_2_fast.reference(prompt="It rolls", image_urls=[token])
        client.with_options(upload_files=True).seedance_2_fast.reference(prompt="It rolls", image_urls=[str(path)])

        assert_type(client.quote(model="kling-o3", params={"prompt": "x"}), prospo.Quote)
        assert_type(client.balance().balance_usd, Decimal)
        assert_type(client.budget.spent_usd, Decimal)
        for outcome in client.batch([REQUEST, {"model": "nope", "params": {}}], concurrency=2, budget_usd=5):
            print("error" if isinstance(outcome, prospo.ProspoError) else outcome.status)

        try:
            client.kling_o3.text(prompt="mock:accept-then-504")
        except prospo.OutcomeUnknown as error:
            print(error.at.year > 2000, error.request_sha256 != "", error.largest_cost_usd)
        try:
            client.kling_o3.text(prompt="mock:status=403")
        except prospo.Refused as error:
            print(error.status, error.code, error.rate_limit.remaining is not None)
        try:
            client.generate(model="kling-o3", params={})
        except prospo.InvalidRequest as error:
            print([problem.path for problem in error.problems])


async def asynchronous() -> None:
    async with httpx2.AsyncClient() as own, prospo.AsyncClient(http_client=own, poll_s=0.02) as client:
        result = await client.seedance_2_fast.text(prompt="A red ball", duration=6)
        assert_type(result, prospo.AsyncResult)
        job = await client.kling_o3.submit_text(prompt="A red ball")
        assert_type(job, prospo.AsyncJob)
        assert_type(await client.job(job.id).result(), prospo.AsyncResult)
        assert_type(await client.batch([REQUEST]), list[prospo.AsyncResult | prospo.ProspoError])
        assert_type(await client.balance(), prospo.Balance)


if __name__ == "__main__":
    blocking()
    asyncio.run(asynchronous())
