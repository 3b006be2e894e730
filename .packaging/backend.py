# SPDX-License-Identifier: MIT
"""Builds the wheel with setuptools: the module, and its bytes again where type checkers look.

Only a package can carry py.typed, so checkers take a module that was installed for untyped; but
they take a package named ...-stubs in its place:
https://peps.python.org/pep-0561/#stub-only-packages
"""

import glob
import os
from typing import List

from setuptools.build_meta import *  # noqa: F403  # the hooks of https://peps.python.org/pep-0517/
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist


class BuildWithStubs(build_py):
    def stubs(self) -> str:
        return os.path.join(self.build_lib, "openai_lite-stubs", "__init__.pyi")

    def run(self) -> None:
        super().run()
        if not getattr(self, "editable_mode", False):
            self.mkpath(os.path.dirname(self.stubs()))
            self.copy_file("openai_lite.py", self.stubs())

    def get_outputs(self, include_bytecode: bool = True) -> List[str]:
        return [*super().get_outputs(include_bytecode), self.stubs()]


class SourcesWithTests(sdist):
    def make_release_tree(self, base_dir: str, files: List[str]) -> None:
        more = ["test_openai_lite.py", "CHANGELOG.md", ".ci/run", *glob.glob(".packaging/*.py")]
        more += glob.glob("examples/**/*.py", recursive=True)
        super().make_release_tree(base_dir, [*files, *more])
