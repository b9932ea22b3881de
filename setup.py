"""Build the native core. Everything else stands in pyproject.toml."""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("BBPE_DEBUG") == "1"  # bounds checks and sanitizers; never in a release
SANITIZE = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]

if os.name == "nt":
    compile_args = ["/std:c++17", "/O2"]
    link_args: list[str] = []
else:
    compile_args = ["-std=c++17", "-O1", "-g", *SANITIZE] if DEBUG else ["-std=c++17", "-O3"]
    link_args = SANITIZE if DEBUG else []

extensions = [
    Extension(
        source[: -len(".pyx")].replace(os.sep, "."),
        [source],
        language="c++",
        depends=[*glob("bbpe/_native/*.hpp"), *glob("bbpe/*.pxd")],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for source in sorted(glob(os.path.join("bbpe", "*.pyx")))
]

setup(
    ext_modules=cythonize(
        extensions,
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": DEBUG,
            "freethreading_compatible": True,
        },
    )
)
