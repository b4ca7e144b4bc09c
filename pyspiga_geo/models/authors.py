"""The reference network with the authors' weights."""

from pathlib import Path

from pyspiga_geo.models import checkpoint, reference
from pyspiga_geo.models.spiga import SPIGA


def reference_model(path: str | Path) -> SPIGA:
    """Load the reference network with the authors' weights from their .pt file; the layout is inferred from the
    weights.

    Code in the file is never run.

    Args:
        path: of the file.

    Returns:
        The model, in evaluation mode.

    Raises:
        pyspiga_geo.models.CheckpointError: if the file is missing, damaged, holds code or is no state dict.
        ValueError: if it is the state dict of another network; the message lists what does not fit.

    Example:
        >>> model = reference_model("spiga_wflw.pt")  # doctest: +SKIP
        >>> reference_model("missing.pt")
        Traceback (most recent call last):
        pyspiga_geo.models.checkpoint.CheckpointError: missing.pt: no such file
    """
    state = checkpoint.read_reference(path)
    try:
        model = SPIGA.from_preset("reference", reference.layout_of(state))
        model.load_reference_state_dict(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return model.eval()
