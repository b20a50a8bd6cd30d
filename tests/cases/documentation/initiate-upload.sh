curl -X POST https://api.prospolabs.com/v1/uploads/initiate \
 -H "Authorization: Bearer $PROSPOLABS_API_KEY" \
 -H "Content-Type: application/json" \
 -d '{"content_type":"video/mp4","file_name":"my-clip.mp4"}'

# Response:
# {
# "token": "pl-upload-3d756375a28d44cead027db57565f176",
# "upload_url": "/v1/uploads/proxy/pl-upload-3d756375a28d44cead027db57565f176",
# "content_type": "video/mp4"
# }
