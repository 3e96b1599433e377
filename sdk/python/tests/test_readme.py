"""The example of README.md runs."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from .support import Case


class Readme(Case):
    def test_example(self) -> None:
        text = (Path(__file__).resolve().parents[1] / "README.md").read_text()
        examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        self.assertEqual(len(examples), 1)
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            exec(compile(examples[0], "README.md", "exec"), {})
        self.assertEqual(shown.getvalue(), "signature_invalid\n")
