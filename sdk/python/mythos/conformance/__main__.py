"""Answers requests on standard input until it ends."""

from __future__ import annotations

import json
import sys

from .. import __version__
from ..fault import MythosError
from .core import OPS as CORE
from .objects import OPS as OBJECTS
from .powers import OPS as POWERS
from .trees import OPS as TREES
from .values import Output, Unsupported

OPS = {**CORE, **TREES, **OBJECTS, **POWERS}


def answer(request: dict[str, object]) -> Output:
    """Return the answer to one request."""
    id, op = request.get("id"), str(request.get("op"))
    if op == "hello":
        return {"id": id, "ok": True, "output": {"name": "mythos-python", "version": __version__, "ops": sorted(OPS)}}
    if op not in OPS:
        return {"id": id, "unsupported": True}
    given = request.get("input")
    try:
        return {"id": id, "ok": True, "output": OPS[op](given if isinstance(given, dict) else {})}
    except Unsupported:
        return {"id": id, "unsupported": True}
    except MythosError as e:
        refusal: Output = {"id": id, "ok": False, "error": e.code}
        if e.offset is not None:
            refusal["offset"] = e.offset
        return refusal
    except Exception as e:  # a fault of the vector or of this program: never a verdict
        print(f"{id}: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
        return {"id": id, "ok": False, "error": f"{type(e).__name__} in the implementation"}


def main() -> None:
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps(answer(json.loads(line)), separators=(",", ":")) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
