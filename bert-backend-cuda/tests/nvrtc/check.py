#!/usr/bin/env python3
"""Compiles every kernel with NVRTC for each family of GPUs and looks at what came out. Needs no GPU.

It fails on a warning or an error of the compiler, on more than a few bytes of registers spilled to memory, on more
shared memory than a GPU of the family has, and where a kernel for tensor cores has no instruction of theirs. It
prints registers, what is spilled, and shared memory of each kernel (from sm_90 on with the 1024 bytes that the driver
takes; without rows whose length only a launch knows).

The compiler comes as Python packages, into a virtual environment under target/."""

import argparse
import concurrent.futures
import ctypes
import hashlib
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from environment import TARGET, install  # noqa: E402

KERNELS = HERE.parent.parent / "kernels"
CACHE = TARGET / "nvrtc"  # what was compiled before, by the hash of all that went in
PACKAGES = [
    "nvidia-cuda-nvrtc==13.0.88",
    "nvidia-cuda-cuobjdump==13.2.51",
    "nvidia-cuda-nvdisasm==13.2.51",
]
FAMILIES = [80, 90]  # and the newest that the compiler knows
SHARED = {80: 163, 90: 227}  # KiB that a block can have; elsewhere 99
SPILLED = 32  # bytes of a thread that may go to memory: compilers trade a few for a further block
TENSOR_CORES = {r"(linear|attention\w*)_(bf16|f16)": "HMMA", r"linear_int8": "IMMA"}


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


def dynamic_shared(cubin):
    """What the variables `KERNEL_shared` say, read from the ELF file."""
    table, = struct.unpack_from("<Q", cubin, 0x28)
    size, count = struct.unpack_from("<HH", cubin, 0x3A)
    # Of each section: type, offset, size, link.
    sections = [(*struct.unpack_from("<I", cubin, at + 4), *struct.unpack_from("<QQI", cubin, at + 24))
                for at in range(table, table + size * count, size)]  # fmt: skip
    found = {}
    for kind, offset, length, link in sections:
        if kind != 2:  # symbols
            continue
        for at in range(offset, offset + length, 24):
            name_at, _, _, section, value = struct.unpack_from("<IBBHQ", cubin, at)
            start = sections[link][1] + name_at
            name = cubin[start : cubin.index(b"\0", start)].decode()
            if name.endswith("_shared") and section < len(sections):
                number, = struct.unpack_from("<I", cubin, sections[section][1] + value)
                found[name.removesuffix("_shared")] = number
    return found


def facts_of(tools, cubin, folder):
    """Registers, shared memory, what is spilled and tensor core instructions of each kernel."""
    dynamic = dynamic_shared(cubin)
    path = pathlib.Path(folder) / "kernel.cubin"
    path.write_bytes(cubin)
    run = lambda *args: subprocess.run(args, check=True, capture_output=True, text=True).stdout
    facts = {}
    for name, usage in re.findall(r"Function (\w+):\n\s*(.*)", run(tools / "cuobjdump", "-res-usage", path)):
        numbers = dict(re.findall(r"(\w+):(\d+)", usage))
        facts[name] = {"registers": int(numbers["REG"]), "shared": int(numbers["SHARED"]) + dynamic.get(name, 0),
                       "spilled": int(numbers["STACK"]) + int(numbers["LOCAL"])}  # fmt: skip
    sass = run(tools / "nvdisasm", "-c", path)
    for name, code in re.findall(r"\.section\s+\.text\.(\w+),(.*?)(?=\.section\s+\.text|\Z)", sass, re.S):
        for instruction in ("HMMA", "IMMA"):
            facts[name][instruction] = len(re.findall(rf"\b{instruction}\b", code))
    return facts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="kernel files; all if none is named")
    parser.add_argument("--families", type=int, nargs="*")
    wanted = parser.parse_args()
    install(PACKAGES)
    folder = next((TARGET / "venv").glob("lib/python3*/site-packages/nvidia/cu13"))
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
                if facts["spilled"] > SPILLED:
                    problems.append(f"{where}: {name} keeps {facts['spilled']} bytes in local memory")
                if facts["shared"] > SHARED.get(family, 99) << 10:
                    problems.append(f"{where}: {name} needs {facts['shared']} bytes of shared memory")
                for pattern, instruction in TENSOR_CORES.items():
                    if re.match(pattern, name) and not facts[instruction]:
                        problems.append(f"{where}: {name} has no {instruction}")

    print(f"{'kernel':<40}" + "".join(f"{f'sm_{family}: regs spilled shared mma':>34}" for family in families))
    for (_, name), by_family in sorted(rows.items()):
        cells = []
        for family in families:
            facts = by_family.get(family)
            mma = facts and facts["HMMA"] + facts["IMMA"]
            cells.append(f"{facts['registers']:>14}{facts['spilled']:>8}{facts['shared']:>7}{mma:>5}" if facts else f"{'-':>34}")
        print(f"{name:<40}" + "".join(cells))
    print(f"{len(rows)} kernels in {len(paths)} files, for {', '.join(f'sm_{family}' for family in families)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
