"""Pictures cut to their boxes, in the layouts of Stanford Dogs and VOC; what is wrong with an annotation costs its picture."""

from __future__ import annotations

import csv
import tarfile

import numpy as np
import pytest
from PIL import Image

from ganvas.data.boxes import choose, parse_voc
from ganvas.data.decode import Box, Rejected
from ganvas.data.opening import open_source
from ganvas.data.packed import open_packed
from ganvas.data.prepare import prepare, resolve
from ganvas.errors import DataError, UsageError

CLASSES = ("n02085620-Chihuahua", "n02085936-Maltese_dog")
RED, BLUE = (220, 20, 20), (20, 20, 220)


def voc(*boxes: tuple[object, object, object, object]) -> bytes:
    objects = "".join(
        f"<object><name>dog</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    return f"<annotation><size><width>80</width><height>60</height></size>{objects}</annotation>".encode()


def blue_with(*parts: tuple[int, int, int, int]) -> Image.Image:
    """80 x 60, blue with red parts."""
    image = Image.new("RGB", (80, 60), BLUE)
    for part in parts:
        image.paste(RED, part)
    return image


@pytest.fixture
def dogs(pictures):
    """Pictures and annotations as Stanford Dogs names them: a red box in each; the fourth has two."""
    images, notes = {}, {}
    for number in range(8):
        place = f"{CLASSES[number % 2]}/n0208_{number}"
        left = 5 * number
        parts = [(left, 10, left + 30, 50)] + ([(70, 0, 80, 10)] if number == 3 else [])
        images[f"Images/{place}.jpg"] = pictures.encode(blue_with(*parts), "JPEG", quality=95, subsampling=0)
        notes[f"Annotation/{place}"] = voc(*parts)
    return images, notes


def lay(pictures, folder, dogs, layout: str):
    images, notes = dogs
    if layout == "archives":
        pictures.folder(folder, {})
        pictures.tar(folder / "images.tar", images)
        pictures.tar(folder / "annotation.tar", notes)
        return folder
    if layout == "the archive alone":
        return lay(pictures, folder, dogs, "archives") / "images.tar"
    if layout == "compressed":
        pictures.folder(folder, {})
        pictures.tar(folder / "images.tar.gz", images, "w:gz")
        pictures.tar(folder / "annotation.tgz", notes, "w:gz")
        return folder
    if layout == "zips":
        pictures.folder(folder, {})
        pictures.zip(folder / "Images.zip", images)
        pictures.zip(folder / "Annotation.zip", notes)
        return folder
    if layout == "folders":
        return pictures.folder(folder, images | notes)
    if layout == "the folder of pictures":
        return pictures.folder(folder, images | notes) / "Images"
    if layout == "beside each picture":
        moved = {name.replace("Annotation", "Images") + ".xml": data for name, data in notes.items()}
        return pictures.folder(folder, images | moved)
    assert layout == "folder and archive"
    pictures.folder(folder, images)
    pictures.tar(folder / "annotation.tar", notes)
    return folder


LAYOUTS = [
    "archives",
    "the archive alone",
    "compressed",
    "zips",
    "folders",
    "the folder of pictures",
    "beside each picture",
    "folder and archive",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_cut_to_the_boxes_and_named_by_breed(pictures, tmp_path, dogs, layout):
    made = prepare(lay(pictures, tmp_path / "dogs", dogs, layout), tmp_path / "out", resolution=16, crop="box", holdout=0, quiet=True)
    assert (made.splits, made.classes, made.rejected) == ({"train": 8}, ("Chihuahua", "Maltese_dog"), 0)
    split = open_packed(tmp_path / "out").split()
    assert np.abs(split.images.astype(int) - RED).mean() < 8
    assert split.names[0] == f"{CLASSES[0]}/n0208_0.jpg"


@pytest.mark.parametrize("layout", ["archives", "folders"])
def test_without_the_crop_the_same_layouts_give_whole_pictures(pictures, tmp_path, dogs, layout):
    made = prepare(lay(pictures, tmp_path / "dogs", dogs, layout), tmp_path / "out", resolution=16, holdout=0, quiet=True)
    assert (made.splits, made.classes) == ({"train": 8}, ("Chihuahua", "Maltese_dog"))
    assert (open_packed(tmp_path / "out").split().images[..., 2] > 128).any()


@pytest.mark.parametrize(("choice", "count"), [("first", 1), ("largest", 1), ("each", 3)])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_which_boxes(pictures, tmp_path, choice, count, mode):
    image = blue_with((0, 0, 40, 40))
    pictures.folder(tmp_path / "d", {})
    pictures.tar(tmp_path / "d" / "images.tar", {"Images/a.png": pictures.encode(image)}, mode)
    pictures.tar(tmp_path / "d" / "annotation.tar", {"Annotation/a": voc((50, 50, 60, 60), (0, 0, 40, 40), (60, 0, 70, 10))}, mode)
    prepare(tmp_path / "d", tmp_path / "out", resolution=8, crop="box", boxes=choice, holdout=0, quiet=True)
    split = open_packed(tmp_path / "out").split()
    reds = [tuple(picture[4, 4]) == RED for picture in split.images]
    assert reds == {"first": [False], "largest": [True], "each": [False, True, False]}[choice]
    assert split.names == (["a.png"] if count == 1 else ["a.png#1", "a.png#2", "a.png#3"])


def test_the_boxes_of_one_picture_are_held_out_together(pictures, tmp_path):
    images = {f"Images/{n}.png": pictures.png(n, (40, 40)) for n in range(20)}
    notes = {f"Annotation/{n}": voc((0, 0, 20, 20), (20, 20, 40, 40)) for n in range(20)}
    pictures.folder(tmp_path / "d", images | notes)
    prepare(tmp_path / "d", tmp_path / "out", resolution=8, crop="box", boxes="each", holdout=0.2, quiet=True)
    dataset = open_packed(tmp_path / "out")
    train, val = ({name.partition("#")[0] for name in dataset.split(name).names} for name in ("train", "val"))
    assert len(dataset.split("val")) == 8
    assert not train & val


@pytest.mark.parametrize("size", [(80, 60), (1600, 1200)])
def test_a_box_is_cut_and_stretched_as_pillow_would(pictures, tmp_path, size):
    """Also where the JPEG was decoded at a fraction of its size."""
    image = pictures.image(1, size)
    box = tuple(edge * size[0] // 80 for edge in (10, 20, 50, 45))
    data = pictures.encode(image, "JPEG", quality=95)
    pictures.folder(tmp_path / "d", {"a.jpg": data, "a.xml": voc(box)})
    prepare(tmp_path / "d", tmp_path / "out", resolution=32, crop="box", holdout=0, quiet=True)
    expected = Image.open(tmp_path / "d" / "a.jpg").crop(box).resize((32, 32), Image.Resampling.LANCZOS)
    found = open_packed(tmp_path / "out").split().images[0].astype(int)
    assert np.abs(found - np.asarray(expected)).mean() < 1.5


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">""" + b"".join(
    b'<!ENTITY lol%d "%s">' % (n + 1, b"&lol%s;" % (b"" if n == 0 else b"%d" % n) * 10) for n in range(9)
)
BOMB += b"]><annotation><object><name>&lol9;</name></object></annotation>"
FETCH = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><object><name>&x;</name></object></annotation>'

BAD = {
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "no_xml": (b"dog at 3,4", "is no XML"),
    "cut_off": (voc((1, 2, 30, 40))[:-20], "is no XML"),
    "bomb": (BOMB, "is hostile"),
    "fetch": (FETCH, "is hostile"),
    "deep": (b"<a>" * 100_000, "is no XML"),
    "encoding": (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "is no XML"),
    "no_object": (b"<annotation/>", "names no object"),
    "no_box": (b"<annotation><object><name>dog</name></object></annotation>", "without a number for xmin"),
    "words": (voc(("left", 1, 20, 20)), "without a number for xmin"),
    "nan": (voc((1, "nan", 20, 20)), "without a number for ymin"),
    "infinite": (voc((1, 1, "1e999", 20)), "without a number for xmax"),
    "inside_out": (voc((30, 1, 20, 20)), "encloses nothing"),
    "outside": (voc((100, 10, 120, 50)), "is outside of the picture (80 x 60)"),
    "sticks_out": (voc((10, 10, 85, 50)), "is outside of the picture (80 x 60)"),
    "negative": (voc((-5, 10, 20, 50)), "is outside of the picture (80 x 60)"),
    "sliver": (voc((10, 10, 10.25, 50)), "smaller than a pixel"),
    "large": (b"<annotation>" + b" " * 2**20 + b"</annotation>", "larger than 1 MiB"),
    "many": (voc(*[(1, 1, 20, 20)] * 1001), "more than 1,000 objects"),
}


@pytest.mark.parametrize("layout", ["archives", "folders", "compressed"])
def test_bad_annotations_cost_their_pictures_and_are_listed(pictures, tmp_path, dogs, layout):
    images, notes = dogs
    data = pictures.encode(blue_with((0, 0, 80, 60)))
    images |= {f"Images/{CLASSES[0]}/{name}.png": data for name in [*BAD, "missing"]}
    notes |= {f"Annotation/{CLASSES[0]}/{name}": note for name, (note, _) in BAD.items()}
    source = lay(pictures, tmp_path / "dogs", (images, notes), layout)
    made = prepare(source, tmp_path / "out", resolution=16, crop="box", holdout=0, quiet=True)
    assert (made.splits, made.rejected) == ({"train": 8}, len(BAD) + 1)
    with (tmp_path / "out" / "rejected.csv").open(encoding="utf-8", newline="") as file:
        reasons = {row["name"]: row["reason"] for row in csv.DictReader(file)}
    for name, (_, words) in BAD.items():
        assert words in reasons[f"{CLASSES[0]}/{name}.png"]
    assert reasons[f"{CLASSES[0]}/missing.png"] == "it has no annotation"
    assert f"{len(BAD) + 1} picture files were skipped" in made.summary()


def test_an_edge_may_lie_one_pixel_outside(pictures, tmp_path):
    pictures.folder(tmp_path / "d", {"a.png": pictures.encode(blue_with()), "a.xml": voc((-1, 0, 81, 61))})
    assert prepare(tmp_path / "d", tmp_path / "out", crop="box", quiet=True).splits == {"train": 1}


def test_flat_pictures_find_annotations_in_folders_by_their_names(pictures, tmp_path):
    """As Kaggle ships the same dogs; a name that is there twice can't be told apart."""
    images = {f"all-dogs/{name}.png": pictures.png(n, (40, 40)) for n, name in enumerate("abc")}
    notes = {f"Annotation/x/{name}": voc((0, 0, 20, 20)) for name in "abc"} | {"Annotation/y/c": voc((0, 0, 9, 9))}
    pictures.folder(tmp_path / "d", images | notes)
    with open_source(tmp_path / "d", quiet=True, boxes="first") as source:
        assert [item.name for item in source.items] == ["a.png", "b.png"]
        assert source.rejected == [("c.png", "it has 2 annotations, in different folders")]


@pytest.mark.parametrize("boxes", ["first", None])
def test_a_source_without_boxes_says_what_was_expected(pictures, tmp_path, boxes):
    source = pictures.folder(tmp_path / "d", pictures.many(["a.png", "b.png"]))
    for given in (source, "builtin:emoji", pictures.zip(tmp_path / "p.zip", pictures.many(["a.png"]))):
        with pytest.raises(UsageError, match=r"bounding boxes.*expected annotation\.tar or a folder Annotation"):
            prepare(given, tmp_path / "out", crop="box", boxes=boxes, quiet=True)
    assert not (tmp_path / "out").exists()


def test_boxes_without_the_crop_and_unknown_choices_are_refused(pictures, tmp_path, dogs):
    source = lay(pictures, tmp_path / "dogs", dogs, "folders")
    with pytest.raises(UsageError, match="expected crop box beside it"):
        prepare(source, tmp_path / "out", boxes="first", quiet=True)
    with pytest.raises(UsageError, match='did you mean "largest"'):
        prepare(source, tmp_path / "out", crop="box", boxes="larges", quiet=True)


def test_a_damaged_archive_of_annotations_is_named(pictures, tmp_path, dogs):
    source = lay(pictures, tmp_path / "dogs", dogs, "archives")
    (source / "annotation.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(DataError, match=r"annotation\.tar is no archive"):
        prepare(source, tmp_path / "out", crop="box", quiet=True)


def test_changed_annotations_are_another_source(pictures, tmp_path, dogs):
    source = lay(pictures, tmp_path / "dogs", dogs, "folders")
    options = {"resolution": 16, "crop": "box", "quiet": True}
    assert not prepare(source, tmp_path / "out", **options).unchanged
    assert prepare(source, tmp_path / "out", **options).unchanged
    with pytest.raises(UsageError, match="boxes first, now each"):
        prepare(source, tmp_path / "out", **options, boxes="each")
    (source / "Annotation" / CLASSES[0] / "n0208_0").write_bytes(voc((0, 0, 70, 50)))
    with pytest.raises(UsageError, match="has changed since"):
        prepare(source, tmp_path / "out", **options)


def test_training_prepares_boxes_into_the_cache(pictures, tmp_path, dogs):
    source = lay(pictures, tmp_path / "dogs", dogs, "archives")
    one = resolve(source, resolution=8, crop="box", quiet=True)
    each = resolve(source, resolution=8, crop="box", boxes="each", quiet=True)
    assert (len(one.split()), len(each.split())) == (8, 9)
    assert one.path != each.path
    assert resolve(source, resolution=8, crop="box", classes=["Chihuahua"], quiet=True).classes == ("Chihuahua",)


def test_parsing_and_choosing():
    boxes = parse_voc(voc((1, 2, 3, 4), ("5.5", 0, 60, 50), (0, 0, 55, 50)))
    assert boxes == [Box(1, 2, 3, 4), Box(5.5, 0, 60, 50), Box(0, 0, 55, 50)]
    assert (choose(boxes, "first"), choose(boxes, "largest"), choose(boxes, "each")) == ([boxes[0]], [boxes[2]], boxes)
    assert choose([boxes[2], boxes[2]._replace()], "largest")[0] is boxes[2]
    with pytest.raises(Rejected, match="is empty"):
        parse_voc(b"")


@pytest.mark.data
def test_real_dogs(shared_data, tmp_path):
    """As they are shipped, and unpacked: the same data set."""
    source = shared_data / "stanford-dogs"
    made = prepare(source, tmp_path / "packed", resolution=32, crop="box", holdout=0, quiet=True)
    assert (made.splits, made.rejected) == ({"train": 724}, 0)
    assert made.classes == ("German_shepherd", "Maltese_dog", "Saint_Bernard", "golden_retriever")
    assert prepare(source, tmp_path / "each", resolution=32, crop="box", boxes="each", holdout=0, quiet=True).splits == {"train": 762}
    for name in ("images", "annotation"):
        with tarfile.open(source / f"{name}.tar") as archive:
            # Python 3.11.0 to 3.11.3 have no filters, and 3.14 takes this one by itself.
            archive.extractall(tmp_path / "dogs", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # type: ignore[arg-type]
    assert prepare(tmp_path / "dogs", tmp_path / "out", resolution=32, crop="box", holdout=0, quiet=True).checksum == made.checksum
    one = prepare(source, tmp_path / "one", resolution=32, crop="box", classes=["n02085936-Maltese_dog"], holdout=0, quiet=True)
    assert one.classes == ("Maltese_dog",)
