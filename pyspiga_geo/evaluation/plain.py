"""Results as values that JSON has."""

import math
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Lists for arrays and tuples, strings for keys, None for NaN; anything else is returned unchanged.

    Example:
        >>> plain({2.5: np.array([1.0, np.nan]), "interval": (0.0, 1.0)})
        {'2.5': [1.0, None], 'interval': [0.0, 1.0]}
    """
    if isinstance(value, dict):
        return {f"{key:g}" if isinstance(key, float) else str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
