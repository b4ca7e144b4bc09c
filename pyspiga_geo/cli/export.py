"""The command ``export``: a model as a file for other runtimes."""

from jsonargparse import Namespace

from pyspiga_geo.cli.outputs import check_outputs
from pyspiga_geo.inference.export import check_format, export_model
from pyspiga_geo.models import SPIGA


def export(args: Namespace) -> None:
    """Write a model for onnxruntime or for ``torch.export.load``."""
    check_format(args.out, args.format)
    check_outputs([args.out], [args.model], args.overwrite)
    model = SPIGA.from_pretrained(args.model)
    export_model(model, args.out, args.format)
    print(f"{len(model.layout)} landmarks ({model.layout.name}), written to {args.out}")
