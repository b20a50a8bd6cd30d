"""Mistakes that a type checker finds: one line of each checker for each, on the line where it is."""

# pyright: basic
# In strict mode it tells of whatever follows an unknown attribute as well.
import prospo
from prospo import webhooks

client = prospo.Client("prsp-local")
client.seedance_2_fast.text(prompt="x", aspect_ratio="16x9")
client.seedance_2_fast.text(prompt="x", durration=6)
client.seedance_2_fast.text(duration=6)
client.seedance_2_fast.text(prompt="x", duration="6")
client.seedance_2_fast.text(prompt="x", image_url="https://example.com/a.png")
client.veo_3_1_lite.text(prompt="x", duration=8)
client.seedance_2_fast.texts(prompt="x")
client.seedance_9.text(prompt="x")
client.with_options(max_costs_usd=1)
client.generate(model="kling-o3", params={"prompt": "x"}, timeout=5)
client.generate("kling-o3", {"prompt": "x"})

event = webhooks.unwrap(b"", "", "whsec-local")
event.output_url.upper()
event.key = ""
