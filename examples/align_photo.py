"""Landmarks, head pose and an upright picture of every face in a photo.

    python examples/align_photo.py --out aligned             # the astronaut that scikit-image brings along
    python examples/align_photo.py photo.jpg --out aligned

Writes `landmarks.png` (the photo with what was found), `face1.png`, `face2.png`, ... (each face turned upright and
brought to the same size, as face recognition wants them) and `faces.json` (landmarks and pose as annotation records).
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from skimage.data import astronaut
from skimage.transform import rescale
from torch import Tensor

from pyspiga_geo import FaceAligner, FaceData
from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import read_image, write_records
from pyspiga_geo.geometry import transform_points, warp_image
from pyspiga_geo.inference import to_record
from pyspiga_geo.layouts import EYE_CORNER_IDS, Layout
from pyspiga_geo.visualization import save_faces

SIDE = 256
"""Side of the upright pictures in pixels."""

FACE_PART = 0.65
"""Side of the face's box over that of the picture."""


def upright_crop(face: FaceData, layout: Layout) -> Tensor:
    """Map [3, 3] from the photo to a picture in which the eyes lie level and the face in the middle."""
    right, left = (face.pos[layout.ids.index(corner)] for corner in EYE_CORNER_IDS)
    along = (left - right) / (left - right).norm()  # the picture's new x axis
    turn = torch.stack([along, torch.stack([-along[1], along[0]])])
    turned = face.pos @ turn.T
    low, high = turned.amin(dim=0), turned.amax(dim=0)
    zoom = FACE_PART * SIDE / (high - low).max()
    matrix = torch.eye(3)
    matrix[:2, :2] = zoom * turn
    matrix[:2, 2] = (SIDE - 1) / 2 - zoom * (low + high) / 2
    return matrix


def save_picture(path: Path, image: Tensor) -> None:
    """Write an image [3, H, W] in 0..1 as PNG."""
    pixels = (255 * image.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", help="a picture file (default: the astronaut)")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is found")
    parser.add_argument("--quick", action="store_true", help="look at the photo at half its size")
    options = parser.parse_args()

    if options.photo:
        photo = read_image(options.photo)
    else:
        photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
    if options.quick:
        photo = torch.from_numpy(rescale(photo.numpy(), 0.5, anti_aliasing=True, channel_axis=0))

    aligner = FaceAligner()
    faces = aligner(photo)  # one graph a face, positions in pixels of the photo
    for number, face in enumerate(faces, start=1):
        yaw, pitch, roll = face.pose[:3].tolist()
        matrix = upright_crop(face, aligner.layout)
        save_picture(options.out / f"face{number}.png", warp_image(photo, matrix, SIDE))
        nose = transform_points(face.pos, matrix)[aligner.layout.contours["nose_bridge"][-1]].tolist()
        print(f"face {number}: yaw {yaw:.1f}, pitch {pitch:.1f}, roll {roll:.1f} degrees")
        print(f"  face{number}.png: tip of the nose at ({nose[0]:.0f}, {nose[1]:.0f})")
    name = str(options.photo or "astronaut")
    write_records(options.out / "faces.json", [to_record(face, name, aligner.layout) for face in faces])
    save_faces(options.out / "landmarks.png", photo, faces, aligner.layout)
    print(f"{len(faces)} faces; pictures and faces.json are in {options.out}")


if __name__ == "__main__":
    main()
