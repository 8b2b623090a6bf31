"""setup.py - puts libaftertouch.so into the wheel and names the platform that it is for.

The library is the one that AFTERTOUCH_LIBRARY names (pip builds in this folder, so a path that is not absolute is the tree's around it),
else build/release/lib/libaftertouch.so.0: build that first. It is bound to no version of Python (ctypes), only to the machine: py3-none-<platform>.
"""
import os
import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from wheel.bdist_wheel import bdist_wheel

HERE = pathlib.Path(__file__).resolve().parent
LIBRARY = HERE.parents[1] / (os.environ.get("AFTERTOUCH_LIBRARY") or "build/release/lib/libaftertouch.so.0")


class WithLibrary(build_py):
    def run(self):
        super().run()
        if not LIBRARY.exists():
            raise SystemExit(f"{LIBRARY} is not there: build it (cmake --workflow --preset release), or name it in AFTERTOUCH_LIBRARY")
        shutil.copyfile(LIBRARY, pathlib.Path(self.build_lib) / "aftertouch" / "libaftertouch.so.0")


class OfThisMachine(bdist_wheel):
    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


setup(cmdclass={"build_py": WithLibrary, "bdist_wheel": OfThisMachine})
