"""The moving picture of README and front page: the cascade on a tilted face, from x_0 to the landmarks.

python docs/figures/moving_cascade.py     # writes docs/images/cascade.gif; again when another model ships
"""

from pathlib import Path

from PIL import Image
from skimage.data import astronaut

from pyspiga_geo import FaceAligner
from pyspiga_geo.visualization import animate_cascade

TILT = 28
"""Degrees by which the photo of scikit-image is turned, counterclockwise."""

if __name__ == "__main__":
    photo = Image.fromarray(astronaut()).rotate(TILT, Image.Resampling.BICUBIC)
    aligner = FaceAligner("compact", views=1)
    (face,) = aligner(photo)
    path = Path(__file__).resolve().parents[1] / "images" / "cascade.gif"
    animate_cascade(path, photo, face, aligner.layout, size=360, frames=9)
    print(f"roll {face.pose[2]:.0f} degrees; {path}: {path.stat().st_size / 1e3:.0f} kB")
