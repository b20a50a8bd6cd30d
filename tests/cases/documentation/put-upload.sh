curl -X PUT "https://api.prospolabs.com/v1/uploads/proxy/pl-upload-3d756375a28d44cead027db57565f176" \
 -H "Authorization: Bearer $PROSPOLABS_API_KEY" \
 -H "Content-Type: video/mp4" \
 --data-binary @my-clip.mp4

# Response: { "status": "uploaded", "bytes": 12345678 }
