#!/bin/sh
# The same with curl: sh examples/storefront.sh http://127.0.0.1:8000 bk_... (a key of role server)
set -eu
url=$1 key=$2

# Which banners for this page? One result for each slot, in order.
answer=$(curl -sS --fail-with-body -m 1 -H "Authorization: Bearer $key" "$url/page" \
    -d '{"slots": ["home_top", "category_side"], "city": "Pune", "customer_id": "42"}') || {
    echo "$answer" >&2 # what would be right
    exit 1
}
echo "$answer"

# The visitor clicked on the last one: its token says what on. (The key says that curl is not the visitor.)
token=$(echo "$answer" | sed 's/.*"token":"\([^"]*\)".*/\1/')
curl -sS --fail-with-body -m 1 "$url/click" -H "Authorization: Bearer $key" -d "{\"token\": \"$token\"}"
