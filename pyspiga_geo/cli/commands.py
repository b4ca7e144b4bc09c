"""What the commands do; ``predict``, ``track`` and ``evaluate`` have files of their own."""

from collections.abc import Callable

import torch
from jsonargparse import Namespace

from pyspiga_geo.cli.evaluation import evaluate
from pyspiga_geo.cli.export import export
from pyspiga_geo.cli.outputs import check_outputs
from pyspiga_geo.cli.prediction import predict
from pyspiga_geo.cli.tracking import track
from pyspiga_geo.inference import FaceAligner
from pyspiga_geo.models import SPIGA, reference_model
from pyspiga_geo.training import TrainConfig


def demo(args: Namespace) -> None:
    """Align the photo of scikit-image and draw it."""
    from skimage.data import astronaut

    from pyspiga_geo.visualization import save_demo

    picture = args.out / "demo.png"
    check_outputs([picture], [], overwrite=False)
    aligner = FaceAligner()
    photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
    face = aligner(photo, attention=True)[0]
    yaw, pitch, roll = face.pose[:3].tolist()
    print(f"{len(face.pos)} landmarks; head: yaw {yaw:.1f}, pitch {pitch:.1f}, roll {roll:.1f} degrees")
    save_demo(picture, photo, face, aligner.layout)
    print(f"The picture is at {picture.resolve()}")


def train(args: Namespace) -> None:
    """Train the stages."""
    try:
        from lightning.pytorch.utilities import rank_zero_only

        from pyspiga_geo.training.run import run_training
    except ImportError as error:
        raise ValueError(f"training needs more packages: pip install 'pyspiga-geo[train]' ({error})") from error
    config = TrainConfig(**{name: value for name, value in vars(args).items() if name != "config"})
    try:
        weights = run_training(config)
    except ImportError as error:  # of a package that only some settings need; the message says how to install it
        raise ValueError(str(error)) from error
    rank_zero_only(print)(f"The weights are at {weights}")


def convert(args: Namespace) -> None:
    """Convert the authors' weights to a file of this package."""
    check_outputs([args.out], [args.reference], args.overwrite)
    model: SPIGA = reference_model(args.reference)
    model.save(args.out)
    print(f"{len(model.layout)} landmarks ({model.layout.name}), written to {args.out}")


COMMANDS: dict[str, Callable[[Namespace], None]] = {
    "demo": demo,
    "predict": predict,
    "track": track,
    "train": train,
    "evaluate": evaluate,
    "convert": convert,
    "export": export,
}
