"""One of everything that can be configured, each field other than its default."""

from datetime import UTC, datetime, timedelta, timezone

from bandit.model import ApiKey, Banner, Role, Slot, Tenant, Trial

TENANT = Tenant(
    id="shop",
    name="The Shop",
    time_zone="Europe/Berlin",
    platforms=("web", "android"),
    cities={"Pune": ("Poona", "पुणे"), "Delhi": ()},
    segments=("new",),
    origins=("https://shop.example",),
)
SLOT = Slot(
    id="home",
    name="Home page",
    enabled=False,
    width=300,
    height=250,
    platforms=("web",),
    trial=Trial.VIEWED,
    attribution_window_seconds=600,
    exploration_share=0.1,
    holdout_share=0.2,
    half_life_days=None,
    lookback_days=30,
    pinned_banner="sale",
    default_banner="new",
)
BANNER = Banner(
    slot="home",
    id="sale",
    image_url="/media/shop/a.png",
    landing_url="https://shop.example/sale",
    alt="Sale",
    width=300,
    height=250,
    weight=2.5,
    enabled=False,
    starts_at=datetime(2025, 6, 1, 9, 30, tzinfo=UTC),
    ends_at=datetime(2025, 7, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    cities=("Pune",),
    excluded_cities=("Delhi",),
    platforms=("web",),
    segments=("new",),
    min_share=0.05,
    max_share=0.5,
)
KEY = ApiKey("k1", "shop", Role.SERVER, bytes(range(32)), "back end", datetime(2025, 6, 1, tzinfo=UTC))
OPERATOR = ApiKey("k2", None, Role.OPERATOR, bytes(32))
