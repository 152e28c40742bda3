#!/usr/bin/env python3
"""Host emulation of the CUDA kernels: hard small cases against numpy in float64, and mutants that must be caught.

    run.py                    all cases
    run.py NAME ...           the cases of kernels/NAME.cu
    run.py --mutants          all mutants
    run.py --mutants NAME ... those whose file begins so

It needs g++."""

import argparse
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from environment import PYTHON, install  # noqa: E402

try:
    import numpy as np
except ImportError:
    install(["numpy==2.4.6"])
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

import attention_cases
import products_cases
import rows_cases
from emulation import Failure, Kernels, build
from mutants import MUTANTS

FILES = {**rows_cases.FILES, **products_cases.FILES, **attention_cases.FILES}
LONGEST = 120  # seconds for a mutant


def run_cases(names):
    """How many files have a case that fails."""
    failed = 0
    for name in names:
        start = time.monotonic()
        kernels = Kernels(build(name))
        try:
            FILES[name](kernels)
            said = "ok"
        except Failure as failure:
            said, failed = f"FAILED: {failure}", failed + 1
        print(f"{name:<24}{kernels.launches:>6} launches {time.monotonic() - start:>6.1f} s  {said}", flush=True)
    return failed


def run_mutant(index):
    """The cases of one mutant, in this process: prints what caught it."""
    mutant = MUTANTS[index]
    name = mutant.kernels()
    try:
        FILES[name](Kernels(build(name, {mutant.file: mutant.changed()})))
    except Failure as failure:
        print(failure)


def run_mutants(files):
    """How many mutants nobody caught. Each has a process of its own: it may hang or crash."""
    chosen = [i for i, mutant in enumerate(MUTANTS) if not files or mutant.file.startswith(tuple(files))]
    survivors = []
    for i in chosen:
        try:
            ran = subprocess.run([sys.executable, __file__, "--mutant", str(i)], capture_output=True, text=True,
                                 timeout=LONGEST)  # fmt: skip
            said = ran.stdout.strip()
            if ran.returncode < 0:
                said = f"ended by signal {-ran.returncode}"
            elif ran.returncode:  # what does not compile proves nothing
                print(ran.stderr, file=sys.stderr)
        except subprocess.TimeoutExpired:
            said = f"no end after {LONGEST} s"
        survivors += [] if said else [i]
        print(f"{'caught  ' if said else 'SURVIVED'} {MUTANTS[i]}: {said}", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants caught")
    return len(survivors)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--mutant", type=int, help="one of them, by its number")
    wanted = parser.parse_args()
    np.seterr(all="ignore")
    if wanted.mutant is not None:
        run_mutant(wanted.mutant)
    elif wanted.mutants:
        sys.exit(run_mutants(wanted.names) > 0)
    else:
        sys.exit(run_cases(wanted.names or FILES) > 0)


if __name__ == "__main__":
    main()
