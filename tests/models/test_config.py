from dataclasses import FrozenInstanceError, asdict

import pytest

from pyspiga_geo.models import PRESETS, SPIGA, SPIGAConfig, make_config


def test_paper_is_the_default() -> None:
    assert make_config() == make_config("paper") == SPIGAConfig()
    config = SPIGAConfig()
    assert (config.num_stacks, config.num_steps, config.num_layers) == (4, 3, 4)
    assert (config.bound, config.include_self, config.channel_order) == ("arctan", False, "rgb")


def test_reference_differs_from_the_paper_where_the_authors_code_does() -> None:
    paper, reference = asdict(make_config("paper")), asdict(make_config("reference"))
    assert {key: value for key, value in reference.items() if value != paper[key]} == {
        "channel_order": "bgr",
        "heads": 4,
        "bound": "hardtanh",
        "include_self": True,
        "scale": True,
        "out_proj": True,
    }


def test_compact_is_smaller() -> None:
    compact, paper = make_config("compact"), make_config("paper")
    assert compact.channels < paper.channels
    assert compact.image_size < paper.image_size
    assert sum(p.numel() for p in SPIGA.from_preset("compact").parameters()) < 4e6  # 8 MB in half precision


@pytest.mark.parametrize("preset", PRESETS)
def test_keyword_arguments_come_before_the_preset(preset: str) -> None:
    config = make_config(preset, heads=2, num_steps=5)
    assert (config.heads, config.num_steps) == (2, 5)
    others = {key: value for key, value in asdict(config).items() if key not in ("heads", "num_steps")}
    assert others.items() <= asdict(make_config(preset)).items()


def test_the_preset_comes_before_the_defaults() -> None:
    for preset, values in PRESETS.items():
        assert values.items() <= asdict(make_config(preset)).items()


@pytest.mark.parametrize("make", [make_config, SPIGA.from_preset])
def test_unknown_keys_are_all_named(make: object) -> None:
    with pytest.raises(ValueError, match=r"num_step, stacks; known: image_size, .*num_steps") as error:
        make("paper", num_step=2, stacks=3, heads=2)
    assert "heads, num" not in str(error.value)


@pytest.mark.parametrize("make", [make_config, SPIGA.from_preset])
def test_unknown_preset(make: object) -> None:
    with pytest.raises(ValueError, match="unknown preset 'papers'; known: paper, reference, compact"):
        make("papers")


def test_a_configuration_does_not_change() -> None:
    config = make_config("compact")
    with pytest.raises(FrozenInstanceError):
        config.heads = 2  # type: ignore[misc]
    assert PRESETS["compact"]["heads"] == 4


def test_map_is_a_quarter_of_the_image() -> None:
    assert make_config("paper").map_size == 64
    assert make_config("compact").map_size == 32
