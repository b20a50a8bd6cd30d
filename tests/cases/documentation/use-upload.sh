curl -X POST https://api.prospolabs.com/v1/generate \
 -H "Authorization: Bearer $PROSPOLABS_API_KEY" \
 -H "Content-Type: application/json" \
 -d '{
 "model": "seedance-2",
 "mode": "reference",
 "params": {
 "prompt": "animate the product on a beach at golden hour",
 "image_urls": ["pl-upload-3d756375a28d44cead027db57565f176"],
 "duration": 6,
 "resolution": "720p"
 }
 }'
