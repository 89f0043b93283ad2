"""Configs in and out: YAML, recipes, settings and overrides."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ganvas.config import RunConfig, io
from ganvas.errors import UsageError


@pytest.mark.parametrize("name", io.recipe_names())
def test_every_recipe_is_valid_cites_its_source_and_bears_its_name(name: str) -> None:
    config = io.recipe(name)
    assert config.name == name
    assert config.about
    assert config.source


@pytest.mark.parametrize("name", io.recipe_names())
def test_yaml_out_and_in_again_is_the_same_config(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(io.dump(io.recipe(name)), encoding="utf-8")
    assert io.load(str(path)) == io.recipe(name)


def test_a_dumped_config_has_every_key(tmp_path: Path) -> None:
    values = io.parse(io.dump(RunConfig()), "dump")
    assert set(values) == set(RunConfig.model_fields)
    assert set(values["train"]) == {"images", "epochs", "budget", "batch", "device", "precision", "threads"}


def test_configs_are_frozen() -> None:
    config = RunConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_settings_are_yaml_and_go_deep() -> None:
    config = io.load(
        "dcgan32", ["family.latent.size=12", "augment.flip=false", "family.critic_augment=null", "family.optimizer_g.betas=[0, 0.9]"]
    )
    assert config.family.latent.size == 12
    assert config.augment.flip is False
    assert config.family.critic_augment is None
    assert config.family.optimizer_g.betas == (0.0, 0.9)


def test_an_option_goes_before_a_setting() -> None:
    assert io.load("dcgan32", ["seed=1"], {"seed": 2}).seed == 2


@pytest.mark.parametrize(("key", "value"), [("images", 5), ("epochs", 2.5), ("budget", "30m")])
def test_a_length_replaces_whichever_was_there(key: str, value: object) -> None:
    for settings, overrides in (([f"train.{key}={value}"], {}), ([], {f"train.{key}": value})):
        train = io.load("dcgan32", settings, overrides).train
        assert {name: getattr(train, name) for name in io.LENGTHS if getattr(train, name) is not None} == {key: value}


def refused(recipe: str, *settings: str) -> str:
    with pytest.raises(UsageError) as caught:
        io.load(recipe, settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("sede=1", ['"sede"', 'did you mean "seed"']),
        ("family.latent.sise=1", ['"family.latent.sise"', 'did you mean "size"']),
        ("family.loss.kind=hing", ['"family.loss.kind"', '"hing"', "bce", 'did you mean "hinge"']),
        ("family.loss.real_tarket=1", ['"family.loss.real_tarket"', 'did you mean "real_target"']),
        ("family.generator.width=wide", ['"family.generator.width"', "'wide'"]),
        ("family.generator.width=0", ['"family.generator.width"', "greater than or equal to 1"]),
        ("family.generator.width.x=0", ["family.generator.width", "holds the value"]),
        ("train.budget=soon", ['"soon" is no duration', "30m"]),
        ("train.images=0", ['"train.images"']),
        ("family.optimizer_g.lr=.nan", ['"family.optimizer_g.lr"', "finite"]),
        ("seed", ["key.sub=value"]),
        ("=3", ["key.sub=value"]),
        ("seed={", ["no valid YAML"]),
        ("family.generator.labels=onehot", ["go together"]),
        ("family.penalty={kind: r1}", ["batch norm", "family.discriminator.norm=null"]),
    ],
)
def test_a_wrong_setting_is_named_with_the_mend(setting: str, words: list[str]) -> None:
    message = refused("dcgan32", setting)
    for word in words:
        assert word in message


def test_a_misspelt_recipe_names_the_nearest() -> None:
    assert 'did you mean "dcgan64"' in refused("dcgna64")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: [1", ["no valid YAML", "line "]),
        ("- 1", ["list"]),
        ("just words", ["str"]),
        ("seed: one", ['"seed"', "'one'"]),
        ("train: 5", ['"train"']),
        ("train: {images: 5, budget: 3m}", ["exactly one of images, epochs and budget", "images and budget"]),
        ("\tseed: 1", ["no valid YAML"]),
        ("a: !!python/object/apply:os.system ['true']", ["no valid YAML"]),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    message = refused(str(path))
    for word in ["mine.yaml", *words]:
        assert word in message


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in refused(str(tmp_path / "nowhere.yaml"))
    assert "directory" in refused(f"{tmp_path}/")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "no text" in refused(str(tmp_path / "binary.yaml"))


def test_an_empty_file_is_the_default_config(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert io.load(str(tmp_path / "empty.yaml")) == RunConfig()


@pytest.mark.parametrize("value", [-1, 2**63, 1.5, "x", None])
def test_a_seed_is_a_whole_number_that_fits(value: object) -> None:
    with pytest.raises(UsageError, match="seed"):
        io.validate({"seed": value}, "test")
