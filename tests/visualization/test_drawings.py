"""Properties of the drawings, whatever they look like."""

import inspect
import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import pyspiga_geo.visualization as visualization
from pyspiga_geo import FaceAligner, FaceData
from pyspiga_geo.graph import complete_edges
from pyspiga_geo.layouts import IBUG68, Layout
from pyspiga_geo.visualization import (
    draw_attention,
    draw_attention_matrix,
    draw_cascade,
    draw_heatmaps,
    draw_initial_shape,
    draw_landmarks,
    draw_pose,
    draw_uncertainty,
    draw_windows,
    face_sheet,
    save_figure,
    show_photo,
    zoom_to_face,
)

DRAWINGS = {
    "landmarks": lambda ax, face: draw_landmarks(ax, face, IBUG68),
    "coloured": lambda ax, face: draw_landmarks(ax, face, IBUG68, color="#56b4e9", label="found"),
    "initial": lambda ax, face: draw_initial_shape(ax, face, IBUG68),
    "pose": lambda ax, face: draw_pose(ax, face, IBUG68, label=True),
    "uncertainty": lambda ax, face: draw_uncertainty(ax, face),
    "cascade": lambda ax, face: draw_cascade(ax, face, IBUG68),
    "windows": lambda ax, face: draw_windows(ax, face, [30, 36]),
    "attention": lambda ax, face: draw_attention(ax, face, colorbar=True),
    "listener": lambda ax, face: draw_attention(ax, face, listener=30),
    "matrix": lambda ax, face: draw_attention_matrix(ax, face, IBUG68, colorbar=True),
    "heatmaps": lambda ax, _: draw_heatmaps(ax, torch.randn(68, 8, 8)),
}


def widths(ax) -> list[float]:
    """Widths in pixels of all lines that are drawn."""
    lines = [line.get_linewidth() for line in ax.lines if line.get_linestyle() != "None"]
    lines += [line.get_markeredgewidth() for line in ax.lines if line.get_marker() != "None"]
    lines = [width for width in lines if width]
    lines += [width for collection in ax.collections for width in collection.get_linewidths()]
    return [width * ax.figure.dpi / 72 for width in lines]


@pytest.mark.parametrize("inches", [0.5, 8])
@pytest.mark.parametrize("name", DRAWINGS)
def test_the_axes_come_back_and_no_line_is_thinner_than_one_and_a_half_pixels(name, inches, walked, monkeypatch):
    monkeypatch.setattr("matplotlib.pyplot.show", lambda *_, **__: pytest.fail("a drawing called show"))
    ax = Figure(figsize=(inches, inches), dpi=90).subplots()
    assert DRAWINGS[name](ax, walked) is ax
    assert all(width >= 1.5 - 1e-6 for width in widths(ax))
    assert ax.figure.axes[0] is ax


def test_lines_grow_with_the_face_and_not_with_the_photo(walked):
    def line(inches, margin):
        ax = Figure(figsize=(inches, inches)).add_axes((0, 0, 1, 1))
        zoom_to_face(show_photo(ax, walked.image), walked, margin)
        return max(widths(draw_landmarks(ax, walked, IBUG68)))

    assert line(20, 0.1) == pytest.approx(2 * line(10, 0.1))
    assert line(20, 0.1) > 1.2 * line(20, 0.5)


def test_an_empty_axes_shows_the_face_upright(walked):
    ax = draw_landmarks(Figure().subplots(), walked, IBUG68)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    low, high = walked.pos.amin(dim=0).tolist(), walked.pos.amax(dim=0).tolist()
    assert left < low[0] < high[0] < right
    assert top < low[1] < high[1] < bottom  # y down
    ax = Figure().subplots()
    ax.set(xlim=(0, 500), ylim=(400, 0))
    assert draw_landmarks(ax, walked, IBUG68).get_xlim() == (0, 500)


def test_faces_with_gradients_and_gaps_are_drawn(walked):
    walked.pos = walked.pos.clone().requires_grad_()
    with torch.no_grad():
        walked.pos[3] = torch.nan
    ax = draw_landmarks(Figure().subplots(), walked, IBUG68)
    ax.figure.canvas.draw()
    assert np.isfinite(ax.get_xlim()).all()
    draw_landmarks(Figure().subplots(), FaceData(pos=torch.ones(1, 2)), Layout("point", ids=(201,)))


def test_a_photo_is_shown_as_it_is_or_darker():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    forms = (pixels, 257 * pixels.astype(np.uint16))
    shown = [show_photo(Figure().subplots(), form).images[0].get_array() for form in forms]
    assert all(np.allclose(each, pixels / 255, atol=1e-6) for each in shown)
    assert show_photo(Figure().subplots(), pixels, dim=0.5).images[0].get_array().max() <= 0.5
    with pytest.raises(ValueError, match=r"must have values in 0..1"):
        show_photo(Figure().subplots(), pixels.astype(float))


def test_attention_is_that_of_the_step_layer_and_head(walked):
    for step, layer, head in ((0, 0, 0), (2, 1, 3), (-1, -1, None)):
        drawn = draw_attention_matrix(Figure().subplots(), walked, step=step, layer=layer, head=head).images[0]
        alpha = walked.attention[:, step, layer]
        alpha = alpha.mean(dim=1) if head is None else alpha[:, head]
        assert np.allclose(drawn.get_array(), alpha.numpy())
        options = {"step": step, "layer": layer, "head": head}
        lines = draw_attention(Figure().subplots(), walked, listener=5, strongest=4, **options).collections[0]
        heard, speakers = alpha[5].clone().index_fill(0, torch.tensor(5), 0).topk(4)
        assert np.allclose(lines.get_array(), heard.flip(0).numpy())  # the strongest on top
        for segment, speaker in zip(lines.get_segments(), speakers.flip(0).tolist(), strict=True):
            assert np.allclose(segment, walked.pos[[speaker, 5]].numpy())


def test_attention_of_a_graph_of_ones_own_is_its_edge_weight():
    face = FaceData(pos=torch.rand(4, 2), edge_index=complete_edges(4), edge_weight=torch.arange(12.0))
    lines = draw_attention(Figure().subplots(), face, strongest=3).collections[0]
    assert lines.get_array().tolist() == [9, 10, 11]
    matrix = draw_attention_matrix(Figure().subplots(), face).images[0].get_array()
    assert matrix[0].tolist() == [0, 0, 1, 2]  # row: listener
    with pytest.raises(ValueError, match="face has edge_weight alone"):
        draw_attention(Figure().subplots(), face, step=0)


@pytest.mark.parametrize("options", [{"step": 3}, {"layer": 2}, {"head": -5}, {"listener": 68}], ids=str)
def test_attention_that_is_not_there(options, walked):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} must be in 0"):
        draw_attention(Figure().subplots(), walked, **options)
    with pytest.raises(ValueError, match="ask for it with aligner"):
        draw_attention(Figure().subplots(), FaceData(pos=torch.rand(3, 2), edge_index=complete_edges(3)))


def test_windows_lie_around_the_landmarks_where_each_step_begins(walked):
    squares = draw_windows(Figure().subplots(), walked, [30, 36], step=2).collections[0]
    for path, landmark in zip(squares.get_paths(), (30, 36), strict=True):
        centre = walked.steps[landmark, 0].numpy()  # where step 1 left it
        assert np.allclose(path.vertices.min(axis=0), centre - 10, atol=1e-4)
        assert np.allclose(path.vertices.max(axis=0), centre + 10, atol=1e-4)
    assert len(draw_windows(Figure().subplots(), walked, [30]).collections) == 3
    del walked.windows
    with pytest.raises(ValueError, match="face has no windows"):
        draw_windows(Figure().subplots(), walked, [30])
    with pytest.raises(ValueError, match=r"step must be in 1\.\.3"):
        draw_windows(Figure().subplots(), walked, [30], step=0, windows=(3, 2, 1))


def test_an_aligned_face_knows_its_windows_in_pixels_also_in_a_turned_crop(tiny_model):
    photo = torch.rand(3, 120, 160)
    (face,) = FaceAligner(tiny_model)(photo, [[60, 20, 70, 80]])
    # The crop is 1.6 x 80 = 128 pixels wide.
    assert torch.allclose(face.windows, 128 * torch.tensor(tiny_model.cascade.windows), rtol=1e-5)
    angle = torch.tensor(30.0).deg2rad()
    turn = torch.eye(3)
    turn[:2, :2] = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()]).view(2, 2)
    face.crop = turn @ face.crop
    square = draw_windows(Figure().subplots(), face, [30], step=1).collections[0].get_paths()[0].vertices
    edges = np.diff(square, axis=0)
    assert np.allclose(np.linalg.norm(edges[:4], axis=1), float(face.windows[0]), rtol=1e-4)
    inside = (face.crop[:2, :2] @ torch.from_numpy(edges[0]).float()).numpy()
    assert abs(inside[1]) < 1e-3 * abs(inside[0])  # level in the crop


def test_heatmaps_lie_where_their_landmarks_are():
    """A position is pixel index / resolution, of the map as of the crop."""
    maps = torch.full((1, 16, 16), -20.0)
    maps[0, 4, 8] = 0
    ax = show_photo(Figure().subplots(), torch.zeros(3, 64, 64))
    view = ax.get_xlim()
    left, right, bottom, top = draw_heatmaps(ax, maps).images[1].get_extent()
    assert ((right - left) / 16 * 8.5 + left, (bottom - top) / 16 * 4.5 + top) == pytest.approx((32, 16))
    assert ax.get_xlim() == view
    with pytest.raises(ValueError, match=r"heatmaps must be \[L, h, w\]"):
        draw_heatmaps(ax, maps[None])


def test_what_a_face_lacks_is_named(walked):
    with pytest.raises(ValueError, match=r"face must have pose \[6\] and camera"):
        draw_pose(Figure().subplots(), FaceData(pos=walked.pos), IBUG68)
    with pytest.raises(ValueError, match="layout 'point' has no rigid shape"):
        draw_pose(Figure().subplots(), walked, Layout("point", ids=(201,)))
    with pytest.raises(ValueError, match=r"steps must be in 0\.\.3, got 4"):
        draw_cascade(Figure().subplots(), walked, IBUG68, steps=4)


@pytest.mark.parametrize(
    ("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml"), ("SVG", b"<?xml")]
)
def test_figures_are_written_as_the_name_ends(kind, start, tmp_path):
    path = tmp_path / f"a.{kind}"
    save_figure(path, Figure())
    assert path.read_bytes().startswith(start)
    assert b"pyspiga-geo" in path.read_bytes()  # by which the program knows its own


@pytest.mark.parametrize("name", ["a", "a.doc"])
def test_no_figure_of_an_unknown_format(name, tmp_path):
    with pytest.raises(ValueError, match="path must end in one of"):
        save_figure(tmp_path / name, Figure())
    assert not list(tmp_path.iterdir())


def test_true_and_found_differ_in_colour_and_marker(walked):
    pos = walked.pos[None] / 120
    sheet = face_sheet(walked.image[None], pos, pos + 0.02, IBUG68).axes[0]
    markers = {(line.get_marker(), line.get_color()) for line in sheet.lines if line.get_marker() != "None"}
    assert markers == {("o", visualization.TRUTH), ("x", visualization.FOUND)}


def test_every_drawing_takes_an_axes_and_says_what_it_returns():
    names = [name for name in visualization.__all__ if re.match("draw_(?!overlay)|show_photo|zoom", name)]
    assert len(names) >= 10
    for name in names:
        signature = inspect.signature(getattr(visualization, name))
        assert next(iter(signature.parameters)) == "ax"
        assert signature.return_annotation.__name__ == "Axes"
