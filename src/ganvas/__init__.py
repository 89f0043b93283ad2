"""ganvas turns a folder of pictures into a generator of new ones: prepare, train, evaluate, sample.

```python
import ganvas

run = ganvas.train(data="builtin:emoji")
pictures = ganvas.load(run.path).sample(64, seed=0)  # uint8 (64, 64, 64, 3)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ganvas.api import (
        Run,
        choose,
        compare,
        diagnose,
        ema,
        evaluate,
        inspect,
        interpolate,
        load,
        neighbours,
        plan,
        prepare,
        report,
        resume,
        sample,
        sweep_noise,
        sweep_truncation,
        timeline,
        train,
    )
    from ganvas.config.run import RunConfig
    from ganvas.errors import UserError

_HOMES = {"RunConfig": "ganvas.config.run", "UserError": "ganvas.errors"}

__all__ = [
    "Run",
    "RunConfig",
    "UserError",
    "__version__",
    "choose",
    "compare",
    "diagnose",
    "ema",
    "evaluate",
    "inspect",
    "interpolate",
    "load",
    "neighbours",
    "plan",
    "prepare",
    "report",
    "resume",
    "sample",
    "sweep_noise",
    "sweep_truncation",
    "timeline",
    "train",
]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for, so that `ganvas --help` needs none of it.
    if name not in __all__:
        raise AttributeError(f"module 'ganvas' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "ganvas.api")), name)
