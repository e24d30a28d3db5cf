"""What the demo tenant consists of: a shop with customers in six Indian cities, and two slots of ten offers each."""

from dataclasses import dataclass

from bandit.model import Slot, Tenant

TENANT = Tenant(
    "demo",
    name="Demo shop",
    cities={
        "mumbai": ("Bombay", "मुंबई"),
        "delhi": ("New Delhi", "Dilli", "दिल्ली"),
        "bengaluru": ("Bangalore", "ಬೆಂಗಳೂರು"),
        "chennai": ("Madras", "சென்னை"),
        "kolkata": ("Calcutta", "কলকাতা"),
        "pune": ("Poona", "पुणे"),
    },
)

HOLDOUT_SHARE = 0.1

SLOTS = (
    Slot("home_top", name="Top of the home page", width=1200, height=300, holdout_share=HOLDOUT_SHARE),
    Slot("category_side", name="Beside a category", width=300, height=600, holdout_share=HOLDOUT_SHARE),
)

SEEDED_SLOT = "home_top"
"""Starts from history; the other one starts from nothing."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What one banner says, and how its picture looks."""

    id: str
    headline: str
    detail: str
    colours: tuple[str, str]
    """Ends of the gradient behind the text."""
    motif: str
    """A pattern of demo_pictures."""


OFFERS = {
    "home_top": (
        Offer("monsoon-sale", "Monsoon Sale", "Rainwear from ₹499", ("#0f4c81", "#37b5c9"), "rain"),
        Offer("festive-lights", "Festival of Lights", "Lamps and diyas, 40% off", ("#6a1b4d", "#f5a623"), "rays"),
        Offer("kurta-week", "Kurta Week", "Two for ₹1,299", ("#b5123e", "#ff8a5c"), "weave"),
        Offer("phone-exchange", "Trade In, Trade Up", "₹5,000 off a new phone", ("#1b1f3b", "#5b6ee1"), "rings"),
        Offer("running-club", "Run the City", "Running shoes from ₹1,799", ("#0b6e4f", "#a8e063"), "stripes"),
        Offer("kitchen-month", "Kitchen Month", "Pressure cookers from ₹999", ("#8a2b06", "#ffb347"), "dots"),
        Offer("book-fair", "The Book Fair", "Three paperbacks for ₹599", ("#3b2f63", "#c08ce8"), "weave"),
        Offer("silk-edit", "The Silk Edit", "Handwoven saris, new in", ("#5b0e2d", "#e56b8c"), "waves"),
        Offer("cool-summer", "Stay Cool", "Air coolers, no-cost EMI", ("#005c97", "#8fd3f4"), "waves"),
        Offer("gift-cards", "Give Them the Choice", "Gift cards from ₹250", ("#114b3d", "#e9c46a"), "rays"),
    ),
    "category_side": (
        Offer("free-delivery", "Free Delivery", "On every order today", ("#14532d", "#4ade80"), "stripes"),
        Offer("first-order", "New Here?", "₹200 off your first order", ("#7c2d12", "#fb923c"), "rings"),
        Offer("weekend-deal", "Weekend Deal", "Ends on Sunday night", ("#1e1b4b", "#f472b6"), "rays"),
        Offer("bank-offer", "10% Cashback", "With any debit card", ("#0c4a6e", "#38bdf8"), "dots"),
        Offer("members-only", "Members First", "Early access to the sale", ("#3f2d0c", "#eab308"), "weave"),
        Offer("easy-returns", "Changed Your Mind?", "30 days to return it", ("#134e4a", "#5eead4"), "waves"),
        Offer("size-guide", "Fits, or Free Exchange", "Find your size", ("#581c87", "#d8b4fe"), "rings"),
        Offer("local-craft", "Made Near You", "Craft from your state", ("#7f1d1d", "#fca5a5"), "weave"),
        Offer("app-price", "Cheaper in the App", "Another 5% off", ("#1e3a8a", "#93c5fd"), "stripes"),
        Offer("last-pieces", "Last Pieces", "Up to 70% off", ("#262626", "#f87171"), "rain"),
    ),
}
"""By slot."""
