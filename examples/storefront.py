"""A storefront's back end: asks for the banners of a page, and reports what the visitor did with them.

python examples/storefront.py http://127.0.0.1:8000 bk_...    (a key of role server)
"""

import json
import sys
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class Banners:
    def __init__(self, url: str, server_key: str) -> None:
        self.url, self.headers = url, {"Authorization": f"Bearer {server_key}", "Content-Type": "application/json"}

    def page(self, *slots: str, **visitor: str) -> list[dict[str, Any] | None]:
        """A banner for each slot, none of them twice; None where the page shows its own."""
        try:
            results = self.post("/page", {"slots": slots, **visitor})["results"]
        except OSError as error:  # no answer in time, or a refusal; a page never waits for its banners
            told = error.read().decode() if isinstance(error, HTTPError) else ""  # what would be right
            print(f"no banners: {error} {told}", file=sys.stderr)
            return [None] * len(slots)
        return [result if result["status"] == 200 else None for result in results]

    def post(self, path: str, body: dict[str, Any]) -> Any:
        with urlopen(Request(self.url + path, json.dumps(body).encode(), self.headers), timeout=1) as answer:
            return json.load(answer)


if __name__ == "__main__":
    banners = Banners(sys.argv[1], sys.argv[2])
    for banner in banners.page("home_top", "category_side", city="Pune", customer_id="42", user_agent="Mozilla/5.0"):
        if banner is not None:
            print(f"{banner['banner']}: {banner['image_url']} leads to {banner['landing_url']}")
            banners.post("/view", {"token": banner["token"]})  # it was on screen; "/click" likewise
