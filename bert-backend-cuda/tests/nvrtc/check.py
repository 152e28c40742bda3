#!/usr/bin/env python3
"""Compiles every kernel with NVRTC for each family of GPUs and looks at what came out. Needs no GPU.

It fails on a warning or an error of the compiler, on registers spilled to memory, and where a kernel for tensor
cores has no instruction of theirs. It prints registers and shared memory of each kernel.

The compiler comes as Python packages, into a virtual environment under target/."""

import argparse
import concurrent.futures
import ctypes
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
KERNELS = HERE.parent.parent / "kernels"
TARGET = HERE.parent.parent.parent / "target" / "cuda"
ENVIRONMENT = TARGET / "venv"
CACHE = TARGET / "nvrtc" # what was compiled before, by the hash of all that went in
PACKAGES = [
    "nvidia-cuda-nvrtc==13.0.88",
    "nvidia-cuda-cuobjdump==13.2.51",
    "nvidia-cuda-nvdisasm==13.2.51",
]
FAMILIES = [80, 90]  # and the newest that the compiler knows
TENSOR_CORES = {r"(linear|attention\w*)_(bf16|f16)": "HMMA", r"linear_int8": "IMMA"}


def install():
    """The folder of the compiler's packages, which are fetched if they are not there."""
    if not (ENVIRONMENT / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    found = list(ENVIRONMENT.glob("lib/python3*/site-packages/nvidia/cu13"))
    if not found or not (found[0] / "bin" / "nvdisasm").exists():
        subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "-q", "--no-deps", *PACKAGES], check=True)
        found = list(ENVIRONMENT.glob("lib/python3*/site-packages/nvidia/cu13"))
    return found[0]


class Compiler:
    def __init__(self, folder):
        # The compiler looks for its own built-in header by name: it's found if it is loaded already.
        ctypes.CDLL(str(next((folder / "lib").glob("libnvrtc-builtins.so.*"))), ctypes.RTLD_GLOBAL)
        self.lib = ctypes.CDLL(str(next((folder / "lib").glob("libnvrtc.so.*"))))
        headers = {path.name: path.read_bytes() for path in KERNELS.glob("*.cuh")}
        self.headers = (
            len(headers),
            (ctypes.c_char_p * len(headers))(*headers.values()),
            (ctypes.c_char_p * len(headers))(*[name.encode() for name in headers]),
        )

    def families(self):
        count = ctypes.c_int()
        self.lib.nvrtcGetNumSupportedArchs(ctypes.byref(count))
        families = (ctypes.c_int * count.value)()
        self.lib.nvrtcGetSupportedArchs(families)
        return list(families)

    def text(self, size, get, program):
        length = ctypes.c_size_t()
        getattr(self.lib, size)(program, ctypes.byref(length))
        text = ctypes.create_string_buffer(length.value)
        getattr(self.lib, get)(program, text)
        return text.raw

    def cached(self, path, family):
        """As `compile`, but what compiled without a word is not compiled again."""
        _, sources, names = self.headers
        key = hashlib.sha256(repr([path.read_bytes(), list(sources), list(names), family, PACKAGES]).encode())
        kept = CACHE / f"{path.stem}-sm_{family}-{key.hexdigest()[:16]}.cubin"
        if kept.exists():
            return kept.read_bytes(), ""
        cubin, log = self.compile(path, family)
        if not log:
            CACHE.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(cubin)
        return cubin, log

    def compile(self, path, family):
        """What the compiler made, and what it said."""
        program = ctypes.c_void_p()
        self.lib.nvrtcCreateProgram(
            ctypes.byref(program), path.read_bytes(), path.name.encode(), *self.headers
        )
        options = [b"--gpu-architecture=sm_%d" % family, b"--std=c++17"]
        failed = self.lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        log = self.text("nvrtcGetProgramLogSize", "nvrtcGetProgramLog", program).rstrip(b"\0\n").decode()
        cubin = b"" if failed else self.text("nvrtcGetCUBINSize", "nvrtcGetCUBIN", program)
        self.lib.nvrtcDestroyProgram(ctypes.byref(program))
        return cubin, log


def facts_of(tools, cubin, folder):
    """Registers, shared memory, local memory and tensor core instructions of each kernel."""
    path = pathlib.Path(folder) / "kernel.cubin"
    path.write_bytes(cubin)
    run = lambda *args: subprocess.run(args, check=True, capture_output=True, text=True).stdout
    facts = {}
    for name, usage in re.findall(r"Function (\w+):\n\s*(.*)", run(tools / "cuobjdump", "-res-usage", path)):
        numbers = dict(re.findall(r"(\w+):(\d+)", usage))
        facts[name] = {"registers": int(numbers["REG"]), "shared": int(numbers["SHARED"]),
                       "spilled": int(numbers["STACK"]) + int(numbers["LOCAL"])}
    sass = run(tools / "nvdisasm", "-c", path)
    for name, code in re.findall(r"\.section\s+\.text\.(\w+),(.*?)(?=\.section\s+\.text|\Z)", sass, re.S):
        for instruction in ("HMMA", "IMMA"):
            facts[name][instruction] = len(re.findall(rf"\b{instruction}\b", code))
        facts[name]["local"] = len(re.findall(r"\b(?:STL|LDL)\b", code))
    return facts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="kernel files; all if none is named")
    parser.add_argument("--families", type=int, nargs="*")
    wanted = parser.parse_args()
    folder = install()
    compiler = Compiler(folder)
    families = wanted.families or sorted({*FAMILIES, max(compiler.families())})
    paths = [path for path in sorted(KERNELS.glob("*.cu")) if not wanted.files or path.name in wanted.files]
    problems = []
    rows = {}
    with concurrent.futures.ThreadPoolExecutor(2) as pool, tempfile.TemporaryDirectory() as scratch:
        jobs = [(path, family) for path in paths for family in families]
        for (path, family), (cubin, log) in zip(jobs, pool.map(lambda job: compiler.cached(*job), jobs)):
            where = f"{path.name} for sm_{family}"
            if log:
                problems.append(f"{where}:\n{log}")
            if not cubin:
                continue
            for name, facts in facts_of(folder / "bin", cubin, scratch).items():
                rows.setdefault((path.name, name), {})[family] = facts
                if facts["spilled"] or facts["local"]:
                    problems.append(f"{where}: {name} keeps {facts['spilled']} bytes in local memory")
                for pattern, instruction in TENSOR_CORES.items():
                    if re.match(pattern, name) and not facts[instruction]:
                        problems.append(f"{where}: {name} has no {instruction}")

    print(f"{'kernel':<40}" + "".join(f"{f'sm_{family}: regs shared mma':>26}" for family in families))
    for (_, name), by_family in sorted(rows.items()):
        cells = []
        for family in families:
            facts = by_family.get(family)
            mma = facts and facts["HMMA"] + facts["IMMA"]
            cells.append(f"{facts['registers']:>14}{facts['shared']:>7}{mma:>5}" if facts else f"{'-':>26}")
        print(f"{name:<40}" + "".join(cells))
    print(f"{len(rows)} kernels in {len(paths)} files, for {', '.join(f'sm_{family}' for family in families)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
