"""Run the tests with other versions of Python and of the libraries, and print a table of what passed.

python scripts/compatibility.py --out out/compatibility [--only 3.11-lowest] [-- tests/nn -x]

Each combination gets a virtual environment of its own under --out, which is removed once its result stands in
`results/`; a second call goes on with those that have none. PyPI's torch is the build for GPUs: some gigabytes
for each of its versions.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("torch", "torch-geometric", "numpy", "scipy", "lightning", "kornia", "torch-scatter")
RESULT = re.compile(r"(\d+) (passed|failed|skipped|error)")


@dataclass(frozen=True)
class Combination:
    """A version of Python and a choice of library versions: `known` are those of constraints.txt."""

    python: str
    versions: str  # known, lowest, newest, scatter

    @property
    def name(self) -> str:
        return f"{self.python}-{self.versions}"


COMBINATIONS = (
    Combination("3.11", "known"),
    Combination("3.11", "lowest"),
    Combination("3.11", "newest"),
    Combination("3.11", "scatter"),
    Combination("3.12", "known"),
    Combination("3.13", "known"),
)


def lowest_versions(pyproject: Path, extras: tuple[str, ...]) -> list[str]:
    """The lower bounds of the dependencies and of `extras`, as pip constraints: `numpy>=2.0` gives `numpy==2.0`."""
    project = tomllib.loads(pyproject.read_text())["project"]
    requirements = [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]
    bounds = (re.fullmatch(r"([\w-]+)(?:\[[\w,-]+\])?>=([\w.]+)", requirement) for requirement in requirements)
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


def constraints(versions: str, folder: Path) -> list[str]:
    """The arguments that make pip install these versions."""
    if versions == "newest":
        return []
    if versions == "lowest":
        file = folder / "lowest.txt"
        file.write_text("\n".join(lowest_versions(ROOT / "pyproject.toml", ("train", "cofw", "video", "onnx", "test"))))
        return ["-c", str(file)]
    return ["-c", str(ROOT / "constraints.txt")]


def python_program(version: str) -> str | None:
    """The interpreter of this version: one of pyenv's, else the one on the path."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(pyenv[-1]) if pyenv else shutil.which(f"python{version}")


def run(combination: Combination, folder: Path, arguments: list[str]) -> dict[str, str]:
    """Install and test one combination; the answer says what was installed and how the tests ended."""
    program = python_program(combination.python)
    if program is None:
        return {"result": f"no Python {combination.python} here"}
    environment, log = folder / combination.name, folder / f"{combination.name}.log"
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([program, "-m", "venv", environment], check=True)
    python = str(environment / "bin" / "python")
    with log.open("w") as output:

        def call(*command: str) -> int:
            return subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False).returncode

        pip = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        failed = call(*pip, *constraints(combination.versions, folder), "-e", ".[test]")
        if not failed and combination.versions == "scatter":
            failed = call(*pip, "setuptools", "wheel") or call(*pip, "--no-build-isolation", "torch-scatter")
        if failed:
            return {"result": f"not installed: see {log}"}
        started = time.monotonic()
        code = call(python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *arguments)
        seconds = time.monotonic() - started
    listed = json.loads(subprocess.check_output([python, "-m", "pip", "list", "--format=json"], text=True))
    installed = {package["name"].lower().replace("_", "-"): package["version"] for package in listed}
    shutil.rmtree(environment)
    counts = ", ".join(" ".join(pair) for pair in RESULT.findall(log.read_text().strip().rpartition("\n")[2]))
    return {name: installed.get(name, "-") for name in SHOWN} | {
        "result": f"{'passed' if code == 0 else 'FAILED'} ({counts})",
        "seconds": f"{seconds:.0f}",
    }


def table(rows: list[tuple[Combination, dict[str, str]]]) -> str:
    """The results as a Markdown table."""
    columns = (*SHOWN, "result", "seconds")
    lines = [f"| Python | versions | {' | '.join(columns)} |", "|" + "---|" * (len(columns) + 2)]
    lines += [
        f"| {combination.python} | {combination.versions} | {' | '.join(row.get(key, '-') for key in columns)} |"
        for combination, row in rows
    ]
    return "\n".join(lines)


def main() -> int:
    names = [combination.name for combination in COMBINATIONS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/compatibility"))
    parser.add_argument("--only", choices=names, nargs="+", default=names)
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, after --")
    arguments = parser.parse_args()
    folder = arguments.out.resolve()
    (folder / "results").mkdir(parents=True, exist_ok=True)
    os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    rows = []
    for combination in COMBINATIONS:
        if combination.name not in arguments.only:
            continue
        result = folder / "results" / f"{combination.name}.json"
        if not result.exists():
            print(f"{combination.name} ...", file=sys.stderr, flush=True)
            row = run(combination, folder, arguments.pytest)
            result.with_suffix(".part").write_text(json.dumps(row, indent=1))
            result.with_suffix(".part").replace(result)
        rows.append((combination, json.loads(result.read_text())))
    print(table(rows))
    return int(not all(row["result"].startswith("passed") for _, row in rows))


if __name__ == "__main__":
    sys.exit(main())
