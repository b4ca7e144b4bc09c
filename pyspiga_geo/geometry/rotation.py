"""Head rotation as yaw, pitch and roll.

Frames and signs (those of the authors' code, so that their poses can be read here):

* camera frame: x to the right of the picture, y down, z away from the camera;
* world frame of the rigid face: X out of the face, Y to the person's right, Z down;
* a world point X is at ``R X + t`` in the camera frame;
* yaw, pitch, roll in degrees, all zero for a face that looks straight into the camera.
  Yaw grows when the face turns towards the right of the picture, pitch when it looks up, roll when
  the head tilts clockwise as seen in the picture.

With yaw' = 90 - yaw, pitch' = -pitch, roll' = -(roll + 90):  R = R_y(yaw') R_z(pitch') R_x(roll').
"""

import roma
import torch
from torch import Tensor

_AXES = "YZX"


def euler_to_rotation(angles: Tensor) -> Tensor:
    """Rotation matrices of yaw, pitch and roll (frames and signs: :mod:`pyspiga_geo.geometry.rotation`).

    Args:
        angles: yaw, pitch, roll [..., 3] in degrees.

    Returns:
        [..., 3, 3], from the world frame of the face to the camera frame.

    Example:
        >>> out_of_the_face = torch.tensor([1.0, 0, 0])
        >>> (euler_to_rotation(torch.zeros(3)) @ out_of_the_face).round().abs().tolist()  # along the camera's z axis
        [0.0, 0.0, 1.0]
    """
    # The product written out: a chain of general rotations takes seven times as many operations.
    yaw, pitch, roll = angles.unbind(dim=-1)
    turned = torch.deg2rad(torch.stack([90 - yaw, -pitch, -90 - roll], dim=-1))
    (sy, sz, sx), (cy, cz, cx) = turned.sin().unbind(-1), turned.cos().unbind(-1)
    rows = (
        (cy * cz, sy * sx - cy * sz * cx, sy * cx + cy * sz * sx),
        (sz, cz * cx, -cz * sx),
        (-sy * cz, cy * sx + sy * sz * cx, cy * cx - sy * sz * sx),
    )
    return torch.stack([entry for row in rows for entry in row], dim=-1).unflatten(-1, (3, 3))


def rotation_to_euler(rotation: Tensor) -> Tensor:
    """Yaw, pitch and roll of rotation matrices: the inverse of :func:`euler_to_rotation`.

    Args:
        rotation: [..., 3, 3].

    Returns:
        [..., 3] in degrees: yaw and roll in [-180, 180), pitch in [-90, 90]. At pitch = +-90 degrees yaw and roll
        cannot be separated, and one of the equivalent pairs is returned.

    Example:
        >>> rotation_to_euler(euler_to_rotation(torch.tensor([30.0, -10.0, 5.0]))).round().tolist()
        [30.0, -10.0, 5.0]
    """
    turned: Tensor = roma.rotmat_to_euler(_AXES, rotation, degrees=True)
    angles = torch.stack([90 - turned[..., 0], -turned[..., 1], -turned[..., 2] - 90], dim=-1)
    wrapped = torch.remainder(angles + 180, 360) - 180
    return torch.where(wrapped < 180, wrapped, -180)  # rounding takes what is just below -180 to 180
