"""Pictures in tables, as Hugging Face's `datasets` leaves them on disk: Arrow folders (`save_to_disk`) and Parquet files.

Read with pyarrow alone, a batch of rows at a time; the package `datasets` is not needed, nor is any code of a data set
run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganvas.data.decode import MAX_FILE_BYTES
from ganvas.data.listing import Item
from ganvas.data.source import PICTURES, SPLIT_FOLDERS, Source, file_fingerprint, junk
from ganvas.errors import DataError, UsageError, nearest
from ganvas.progress import Progress
from ganvas.units import format_bytes

MAX_ROW_GROUP_BYTES = 4 * 2**30
"""A Parquet file whose rows unpack to more at once is refused before any are read."""

_ROWS = 256
_IMAGES = ("image", "img", "picture", "photo", "jpg", "png", "jpeg", "webp")
_LABELS = ("label", "labels", "class", "fine_label", "category", "target")
_SPLIT = re.compile(rf"(?:^|[-_./])({'|'.join(sorted(SPLIT_FOLDERS, key=len, reverse=True))}|dev|eval)(?=[-_./])", re.IGNORECASE)
_MORE_SPLITS = {"dev": "val", "eval": "val"}


@dataclass(frozen=True)
class _Table:
    """One file of rows."""

    path: Path
    split: str | None

    @property
    def is_parquet(self) -> bool:
        return self.path.suffix.lower() == ".parquet"


@dataclass(frozen=True)
class _Columns:
    """Which columns hold what, and the names of the classes where the labels are numbers."""

    image: str
    label: str | None
    names: list[str] | None


def is_arrow(path: Path) -> bool:
    """Whether a path is a saved data set, a file of rows, or a folder with Parquet files and no picture at its top."""
    if path.is_file():
        return path.suffix.lower() in (".parquet", ".arrow") and _mark(path)
    if (path / "dataset_dict.json").is_file() or ((path / "state.json").is_file() and (path / "dataset_info.json").is_file()):
        return True
    with contextlib.suppress(OSError):
        entries = list(path.iterdir())
        if any(entry.suffix.lower() in PICTURES for entry in entries):
            return False
        return any(True for _ in _parquet_files(path))
    return False


def _mark(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(6)
    return head[:4] in (b"PAR1", b"\xff\xff\xff\xff") or head == b"ARROW1"


def _parquet_files(folder: Path) -> Iterator[Path]:
    """Files at most two folders down, where the hub's layouts have them: a folder of class folders is not walked for them."""
    for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet"):
        yield from (path for path in sorted(folder.glob(pattern)) if not junk(path.relative_to(folder).as_posix()))


class ArrowSource(Source):
    """The pictures of a column, as `train/<class>/<row>`.

    Args:
        labels: the column of labels; None: the first of the type ClassLabel, else one of a usual name.
    """

    sequential = True

    def __init__(self, given: str, path: Path, labels: str | None = None, quiet: bool = False):
        super().__init__(given)
        self.path = path
        try:
            import pyarrow  # noqa: F401 - only whether it is there
        except ImportError as error:
            raise UsageError(f"{given} holds Arrow or Parquet, and the package pyarrow is missing: pip install 'ganvas[hf]'") from error
        self._tables = self._find(path)
        self.kind = "parquet" if self._tables[0].is_parquet else "arrow"
        self._columns = self._choose(labels)
        with Progress(f"listing {path.name}", None, "pictures", quiet) as progress:
            for index, table in enumerate(self._tables):
                self._list(index, table, progress)
        self.items.sort()

    # -- Which files, which columns ---------------------------------------------------------------------------------

    def _find(self, path: Path) -> list[_Table]:
        """The files of rows with their splits."""
        if path.is_file():
            return [_Table(path, None)]
        if (path / "dataset_dict.json").is_file():
            splits = _json(path / "dataset_dict.json").get("splits")
            if not isinstance(splits, list) or not splits or not all(isinstance(s, str) and _plain(s) for s in splits):
                raise _damaged(path / "dataset_dict.json", "it names no splits")
            return [_Table(file, split) for split in splits for file in _saved(path / split)]
        if (path / "state.json").is_file():
            return [_Table(file, None) for file in _saved(path)]
        files = list(_parquet_files(path))
        return [_Table(file, _split_of(file.relative_to(path).as_posix())) for file in files]

    def _choose(self, wanted: str | None) -> _Columns:
        schema = _schema(self._tables[0].path)
        features = _features(schema)
        images = [n for n in schema.names if features.get(n, {}).get("_type") == "Image"]
        images = [n for n in images or _IMAGES if n in schema.names and _is_image(schema.field(n).type)]
        if not images:
            raise DataError(f"{self.given} has no column of pictures (it has {', '.join(schema.names)}): expected one of the type Image")
        classes = [n for n in schema.names if features.get(n, {}).get("_type") == "ClassLabel"]
        usual = [n for n in _LABELS if n in schema.names and _is_label(schema.field(n).type)]
        label = next(iter(classes or usual), None)
        if wanted is not None:
            if wanted not in schema.names or not _is_label(schema.field(wanted).type):
                some = [n for n in schema.names if _is_label(schema.field(n).type)]
                raise UsageError(f'{self.given} has no labels "{wanted}"{nearest(wanted, some)} (it has {", ".join(some) or "none"})')
            label = wanted
        names = features.get(label, {}).get("names") if label is not None else None
        return _Columns(images[0], label, [str(n) for n in names] if isinstance(names, list) else None)

    # -- Rows -------------------------------------------------------------------------------------------------------

    def _list(self, index: int, table: _Table, progress: Progress) -> None:
        row = 0
        for labels, sizes in self._labels_and_sizes(table):
            for label, size in zip(labels, sizes, strict=True):
                folder = self._folder(label)
                name = "/".join(part for part in (table.split, folder, f"{index:03}-{row:08}") if part)
                if size is None:
                    self.rejected.append((name, "the picture itself is not in the table"))
                elif size > MAX_FILE_BYTES:
                    self.rejected.append((name, f"larger than {format_bytes(MAX_FILE_BYTES)}"))
                else:
                    self.items.append(Item(name, size, (index, row)))
                row += 1
            progress.update(len(labels))

    def _labels_and_sizes(self, table: _Table) -> Iterator[tuple[list[Any], list[int | None]]]:
        """For each batch, the labels, and the bytes of each picture (None where there is none).

        Only the lengths are looked at: a mapped Arrow file's pictures are not read, those of a Parquet file are once.
        """
        import pyarrow.compute as pc

        columns = [self._columns.image] + ([self._columns.label] if self._columns.label else [])
        for batch in _batches(table, columns):
            labels = batch.column(self._columns.label).to_pylist() if self._columns.label else [None] * batch.num_rows
            yield labels, pc.call_function("binary_length", [_bytes(batch.column(self._columns.image))]).to_pylist()

    def _folder(self, label: Any) -> str | None:
        """The class's name, fit to be that of a folder; None for a picture without a class."""
        if label is None or label == -1:  # what `datasets` has for no label
            return None
        names = self._columns.names
        if names is not None and isinstance(label, int):
            if not 0 <= label < len(names):
                raise DataError(f"{self.given} has a label {label} of {len(names)} classes: expected 0 to {len(names) - 1}; mend the table")
            label = names[label]
        text = re.sub(r"[/\\\x00-\x1f]", "-", str(label)).strip(". ")
        return text or None

    def fingerprint(self) -> str:
        """Of the files' paths, sizes and times, and the column of labels."""
        parts = [file_fingerprint(table.path) for table in self._tables]
        return hashlib.sha256(" ".join([*parts, str(self._columns.label)]).encode()).hexdigest()

    def stream(self, items: Sequence[Item]) -> Iterator[tuple[int, bytes]]:
        """The bytes of `items`, file by file and row by row."""
        wanted: dict[int, dict[int, int]] = defaultdict(dict)
        for k, item in enumerate(items):
            wanted[item.where[0]][item.where[1]] = k
        for index, rows in sorted(wanted.items()):
            start, last = 0, max(rows)
            for batch in _batches(self._tables[index], [self._columns.image]):
                data = _bytes(batch.column(0))
                for offset in range(batch.num_rows):
                    if start + offset in rows:
                        yield rows[start + offset], data[offset].as_py() or b""
                start += batch.num_rows
                if start > last:
                    break


def _plain(name: str) -> bool:
    """Whether a name is a file's or a folder's own, leading nowhere else."""
    return bool(name) and Path(name).name == name and name not in (".", "..")


def _split_of(name: str) -> str | None:
    """The split that a file's name says, as hub layouts do: `data/train-00000-of-00001.parquet`."""
    found = _SPLIT.findall(name)
    if not found:
        return None
    word = found[-1].lower()
    return SPLIT_FOLDERS.get(word) or _MORE_SPLITS[word]


def _saved(folder: Path) -> list[Path]:
    """The files of rows of one saved data set, as its `state.json` lists them."""
    state = _json(folder / "state.json")
    if state.get("_indices_data_files"):
        raise DataError(f"{folder} keeps an order of rows apart from the rows: call flatten_indices() and save_to_disk() again")
    listed = state.get("_data_files")
    names = [entry.get("filename") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    if not names or not all(isinstance(name, str) and _plain(name) for name in names):
        raise _damaged(folder / "state.json", "it names no files of rows")
    files = [folder / str(name) for name in names]
    for file in files:
        if not file.is_file():
            raise _damaged(folder, f"{file.name} is missing")
    return files


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, "it can't be read") from error
    if not isinstance(found, dict):
        raise _damaged(path, "it holds no table")
    return found


def _damaged(path: Path, what: object) -> DataError:
    words = " ".join(str(what).split())
    return DataError(f"{path} is damaged ({words}): expected a data set as Hugging Face's datasets saves it; copy or save it again")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises on damaged files into an error that names the file."""
    import pyarrow as pa

    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, EOFError) as error:
        raise _damaged(path, error) from error


def _stream_or_file(source: Any) -> Any:
    """An Arrow file of either kind, as batches."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(source)
    except pa.ArrowInvalid:
        source.seek(0)
        reader = pa.ipc.open_file(source)
        return (reader.get_batch(i) for i in range(reader.num_record_batches))


def _schema(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _reading(path):
        if path.suffix.lower() == ".parquet":
            return pq.read_schema(path)
        with pa.memory_map(str(path)) as source:
            try:
                return pa.ipc.open_stream(source).schema
            except pa.ArrowInvalid:
                source.seek(0)
                return pa.ipc.open_file(source).schema


def _batches(table: _Table, columns: list[str]) -> Iterator[Any]:
    """The rows in batches, of these columns.

    Raises:
        DataError: the file is damaged, has other columns, or unpacks to too much at once.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _reading(table.path):
        if table.is_parquet:
            with pq.ParquetFile(table.path) as file:
                largest = max((file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)), default=0)
                if largest > MAX_ROW_GROUP_BYTES:
                    raise _damaged(table.path, f"{format_bytes(largest)} of rows in one group")
                missing = set(columns) - set(file.schema_arrow.names)
                if missing:
                    raise _damaged(table.path, f"it has no column {', '.join(sorted(missing))}, which others have")
                yield from file.iter_batches(batch_size=_ROWS, columns=columns)
            return
        with pa.memory_map(str(table.path)) as source:
            for batch in _stream_or_file(source):
                chosen = batch.select(columns)
                chosen.validate(full=True)  # lengths and offsets: the file is not to be trusted with those
                yield chosen


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """What `datasets` noted about each column: {"_type": "Image"}, {"_type": "ClassLabel", "names": [...]}."""
    with contextlib.suppress(ValueError, AttributeError, KeyError, TypeError):
        noted = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: entry for name, entry in noted.items() if isinstance(entry, dict)}
    return {}


def _is_image(kind: Any) -> bool:
    """Whether a column may hold pictures: bytes, or a structure with a field of bytes."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _is_image(kind.field(place).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_label(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)


def _bytes(column: Any) -> Any:
    """The bytes of a column of pictures, null where a row has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.call_function("struct_field", [column], pc.StructFieldOptions(["bytes"])) if pa.types.is_struct(column.type) else column
