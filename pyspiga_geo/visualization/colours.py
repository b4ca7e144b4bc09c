"""The colours of all pictures, chosen so that colour-blind people can distinguish what a picture compares."""

TRUTH, FOUND = "#56b4e9", "#e69f00"
"""Blue for true landmarks, orange for predicted ones."""

CONTOURS = {
    "jaw": "#56b4e9",
    "eyebrow": "#f0e442",
    "nose": "#e69f00",
    "eye": "#ffffff",
    "mouth": "#cc79a7",
}
"""Part of a contour's name, and its colour."""

POSE_AXES = (
    ((1.0, 0.0, 0.0), "#0072b2", "out of the face"),
    ((0.0, -1.0, 0.0), "#e69f00", "to the person's left"),
    ((0.0, 0.0, 1.0), "#009e73", "down"),
)
"""Direction in the world of the rigid face (:mod:`pyspiga_geo.geometry.rotation`), colour and meaning."""

_OTHER = "#d0a6ff"
_STEPS = ("#f0e442", "#e69f00", "#56b4e9", "#cc79a7")


def contour_colour(name: str) -> str:
    """Colour of a contour, by the part of the face that its name speaks of."""
    return next((colour for part, colour in CONTOURS.items() if part in name), _OTHER)


def step_colour(step: int) -> str:
    """Colour of step 1, 2, ... of a cascade."""
    return _STEPS[(step - 1) % len(_STEPS)]
