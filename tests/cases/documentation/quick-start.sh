curl -X POST https://api.prospolabs.com/v1/generate \
 -H "Authorization: Bearer prsp-your-api-key" \
 -H "Content-Type: application/json" \
 -d '{
 "model": "veo-3-1-lite",
 "mode": "text",
 "params": {
 "prompt": "A close-up of a hummingbird hovering near a sunlit flower, slow motion",
 "duration": "8s",
 "resolution": "720p",
 "aspect_ratio": "16:9",
 "generate_audio": true
 }
 }'
