# SPDX-License-Identifier: MIT
"""Make the zip of an AWS Lambda function: the handler, and openai_lite compiled.

    python3 examples/aws_lambda/build.py function.zip

Run it with the Python version of the function, since compiled code is for one version only; with
--source the source goes in instead, which is for any and starts much later; with --only responses
just that resource.  It says what it made: "function.zip: 491 kB for Python 3.11".
"""
import argparse
import pathlib
import py_compile
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent / "openai_lite.py"


def build(path: str, only: str, with_source: bool) -> None:
    files = {name: (HERE / name).read_bytes() for name in ("handler.py", "bootstrap.py")}
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "openai_lite.py"), pathlib.Path(folder, "compiled")
        vendor = [sys.executable, str(SOURCE), "vendor", "--library", "--only", only]
        subprocess.run([*vendor, "-o", str(source)], check=True, stderr=subprocess.DEVNULL)
        # A .pyc beside the handler is found without its source; in __pycache__ it would be found
        # only with it, and in a zip not at all.  With both, Lambda would read the source.
        if with_source:
            files["openai_lite.py"] = source.read_bytes()
        else:  # with a hash instead of the file's time, so that the same source makes the same zip
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(source), str(target), source.name, True, invalidation_mode=mode)
            files["openai_lite.pyc"] = target.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)  # of 1980, for the same reason
            info.external_attr = 0o644 << 16  # Lambda reads it as another user
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)


parser = argparse.ArgumentParser(description="Make the zip of an AWS Lambda function.")
parser.add_argument("path")
parser.add_argument("--only", default="all", help="resources, such as chat,files; else all")
parser.add_argument("--source", action="store_true", help="for any Python, and slower to start")
options = parser.parse_args()
build(options.path, options.only, options.source)
size = pathlib.Path(options.path).stat().st_size
version = "any Python" if options.source else "Python %d.%d" % sys.version_info[:2]
print(f"{options.path}: {size / 1000:.0f} kB for {version}")
