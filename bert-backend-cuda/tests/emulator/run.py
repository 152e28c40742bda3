#!/usr/bin/env python3
"""Host emulation of the CUDA kernels: hard small cases against numpy in float64, and mutants that must be caught.

    run.py                 all cases
    run.py NAME ...        the cases of kernels/NAME.cu
    run.py --mutants       all mutants (of the named files)

It needs g++ and, in the Python that runs it, numpy."""

import argparse
import subprocess
import sys
import time

import numpy as np

import attention_cases
import products_cases
import rows_cases
from emulation import Failure, Kernels, build

FILES = {**rows_cases.FILES, **products_cases.FILES, **attention_cases.FILES}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    wanted = parser.parse_args()
    np.seterr(all="ignore")
    failed = 0
    for name in wanted.names or FILES:
        start = time.monotonic()
        kernels = Kernels(build(name))
        try:
            FILES[name](kernels)
            said = "ok"
        except Failure as failure:
            said, failed = f"FAILED: {failure}", failed + 1
        print(f"{name:<24}{kernels.launches:>6} launches {time.monotonic() - start:>6.1f} s  {said}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
