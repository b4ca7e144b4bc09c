"""What the frozen backbone sees, and when it is computed anew."""

from pathlib import Path

import numpy as np
import torch
from ablation.features import Features, annotated_faces, synthetic_faces

from pyspiga_geo import SPIGA, get_layout
from pyspiga_geo.data import FaceRecord, write_records

LAYOUT = get_layout("ibug68")


def test_features_are_what_the_backbone_sees(tiny_model: SPIGA, features: Features):
    first, second = features.training()
    clear, occluded = features.evaluation().values()
    assert [len(seen.pos) for seen in (first, second, clear, occluded)] == [5, 5, 4, 4]
    assert clear.feature_map.dtype == clear.heatmaps.dtype == torch.float16
    assert torch.equal(clear.pos, occluded.pos)
    hidden = (clear.visible > 0) & (occluded.visible == 0)
    assert hidden.any(dim=1).all()
    assert not hidden.all(dim=1).any()
    assert not torch.equal(first.pos, second.pos)
    some = clear.rows(torch.tensor([2, 0]))
    assert some.feature_map.dtype == torch.float32
    assert torch.equal(some.initial, clear.initial[[2, 0]])
    assert torch.equal(some.feature_map[0], clear.feature_map[2].float())
    assert torch.equal(some.starting_at(clear.initial[1]).initial[1], clear.initial[1])


def test_features_are_kept_and_named_after_what_they_depend_on(tiny_model: SPIGA, features: Features):
    paths = sorted(features.folder.iterdir())
    assert len(paths) == 4
    before = [path.stat().st_mtime_ns for path in paths]
    again = Features.compute(tiny_model, synthetic_faces(tiny_model, 5, 4), 2, features.folder)
    assert again == features
    assert [path.stat().st_mtime_ns for path in sorted(features.folder.iterdir())] == before


def test_other_faces_and_other_weights_have_other_names(tiny_model: SPIGA, features: Features, tmp_path: Path):
    faces = synthetic_faces(tiny_model, 5, 3)
    assert Features.compute(tiny_model, faces, 0, tmp_path).key != features.key
    torch.manual_seed(1)
    other = SPIGA.from_config(tiny_model.config, tiny_model.layout).eval()
    assert Features.compute(other, synthetic_faces(other, 5, 4), 0, tmp_path).key != features.key


def test_annotated_faces_are_split_by_group(tiny_model: SPIGA, tmp_path: Path):
    records = [
        FaceRecord(f"{number}.png", (0, 0, 9, 9), LAYOUT.ids, np.ones((68, 2)), np.ones(68), group=str(number // 2))
        for number in range(40)
    ]
    write_records(tmp_path / "train.json", records)
    write_records(tmp_path / "test.json", records[:3])
    held_out = annotated_faces(tiny_model, tmp_path, test=False)
    training, evaluation = (faces(None).records for faces in (held_out.training, held_out.evaluation))
    assert len(training) == 34
    assert len(evaluation) == 6
    assert not {record.group for record in training} & {record.group for record in evaluation}
    tested = annotated_faces(tiny_model, tmp_path, test=True)
    assert len(tested.evaluation(None)) == 3
    assert [face.imgpath for face in tested.training(None).records] == [face.imgpath for face in training]
    assert tested.description != held_out.description
