curl https://api.prospolabs.com/v1/balance \
 -H "Authorization: Bearer $PROSPOLABS_API_KEY"

# Response:
# {
# "balance_usd": 12.345,
# "currency": "USD"
# }
