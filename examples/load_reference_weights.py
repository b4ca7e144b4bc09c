"""The authors' network with the authors' weights: convert their file once, then use it as any other model.

    python examples/load_reference_weights.py spiga_wflw.pt --out reference
    python examples/load_reference_weights.py --out reference         # without the file: random weights

Their weights (github.com/andresprados/SPIGA) are a pickle of tensors; no code that such a file may hold is ever run.
Writes the model as `reference.safetensors`, ready for `FaceAligner("reference/reference.safetensors")` and for
`pyspiga-geo predict`, and `landmarks.png`, what it finds on the astronaut of scikit-image. Without the file the weights
are random: the shapes are right, the landmarks are meaningless, and no picture is drawn.
"""

import argparse
from pathlib import Path

import torch
from skimage.data import astronaut

from pyspiga_geo import SPIGA, FaceAligner
from pyspiga_geo.geometry import square_crop, warp_image
from pyspiga_geo.models import reference, reference_model
from pyspiga_geo.visualization import save_faces

BOX = (177.0, 83.0, 94.0, 96.0)
"""x, y, w, h of the astronaut's face in pixels."""

MEANING = {
    "pose": "yaw, pitch, roll in degrees, translation in units of the rigid face; of the last hourglass",
    "initial": "x_0: the rigid face in that pose, normalised crop coordinates",
    "steps": "positions after each of the three steps of the cascade",
    "landmarks": "the last of them: the result",
    "feature_map": "features that the cascade samples",
    "attention": "per layer of every step: row i holds the weights of the landmarks j that i attends to",
}


SMALL = {
    "image_size": 64,
    "channels": 32,
    "num_stacks": 2,
    "node_channels": 32,
    "hidden_channels": 32,
    "depth": 2,
}
"""A network of the same structure that is fast."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="?", help="the authors' .pt file")
    parser.add_argument("--out", type=Path, required=True, help="folder for model and picture")
    parser.add_argument("--quick", action="store_true", help="without a file: a smaller network")
    options = parser.parse_args()

    if options.weights:
        model = reference_model(options.weights)  # the layout is read off the weights
    else:
        model = SPIGA.from_preset("reference", "wflw98", **(SMALL if options.quick else {})).eval()
        model.load_reference_state_dict(reference.export(model))  # in place of the content of their file
    options.out.mkdir(parents=True, exist_ok=True)
    model.save(options.out / "reference.safetensors")
    print(f"{len(model.layout)} landmarks ({model.layout.name}); {options.out / 'reference.safetensors'}")

    # The model itself takes a batch of crops and returns tensors ...
    photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
    size = model.config.image_size
    crop = square_crop(torch.tensor(BOX), size, model.config.crop_scale)
    with torch.no_grad():
        out = model(warp_image(photo, crop, size)[None], return_attention=True)
    for name, meaning in MEANING.items():
        value = getattr(out, name)
        shape = f"{len(value)} x {list(value[0].shape)}" if isinstance(value, list) else list(value.shape)
        print(f"  {name:11} {shape!s:22} {meaning}")

    # ... an aligner takes photos, and returns faces in pixels of the photo.
    faces = FaceAligner(model)(photo, [BOX])
    if options.weights is None:
        print("random weights: the landmarks are meaningless, so no picture is drawn. Give the authors' file for one")
        return
    save_faces(options.out / "landmarks.png", photo, faces, model.layout)
    print(f"what it finds on a photo: {options.out / 'landmarks.png'}")


if __name__ == "__main__":
    main()
