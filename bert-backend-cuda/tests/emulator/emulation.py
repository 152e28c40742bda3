"""Kernels compiled for the host, and what it takes to launch one with numpy arrays."""

import ctypes
import hashlib
import pathlib
import struct
import subprocess
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
KERNELS = HERE.parent.parent / "kernels"
BUILD = HERE.parent.parent.parent / "target" / "cuda" / "emulator"
COMPILE = ["g++", "-std=c++20", "-O1", "-g", "-fPIC", "-fno-gnu-unique"]
WARNINGS = ["-Wall", "-Werror", "-Wno-unknown-pragmas"]
# A call before each access to memory; emulator.cpp answers it.
WATCHED = ["-fsanitize=thread", "--param", "tsan-instrument-func-entry-exit=0"]


class Failure(Exception):
    """A kernel broke a rule or gave a wrong result."""


def hash_of(texts):
    return hashlib.sha256(repr([COMPILE, WATCHED, texts]).encode()).hexdigest()[:16]


def build(name, changed={}):
    """The library of kernels/NAME.cu, compiled if it was not before; `changed` has other texts for some files."""
    texts = {path.name: path.read_text() for path in KERNELS.glob("*.cuh") if path.name != "device.cuh"}
    texts |= {f"{name}.cu": (KERNELS / f"{name}.cu").read_text(), **changed}
    emulator = [path.read_text() for path in sorted(HERE.iterdir()) if path.suffix in (".cpp", ".hpp", ".cuh")]
    runtime = BUILD / f"emulator-{hash_of(emulator)}.o"
    library = BUILD / f"{name}-{hash_of([emulator, sorted(texts.items())])}.so"
    if not library.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        if not runtime.exists():
            subprocess.run([*COMPILE, *WARNINGS, "-c", HERE / "emulator.cpp", "-o", runtime], check=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as folder:
            for file, text in texts.items():
                (pathlib.Path(folder) / file).write_text(text)
            source, unlinked = f"{folder}/{name}.cu", f"{folder}/{name}.o"
            options = [*COMPILE, *WATCHED, *(["-w"] if changed else WARNINGS), f"-I{HERE}", f"-I{folder}", "-x", "c++"]
            subprocess.run([*options, "-c", source, "-o", unlinked], check=True)
            subprocess.run(["g++", "-shared", unlinked, runtime, "-o", f"{folder}/{name}.so"], check=True)
            pathlib.Path(folder, f"{name}.so").rename(library)
    return ctypes.CDLL(str(library))


class U64(int):
    """A 64-bit argument; a plain int has 32 bits."""


class Out:
    """An array that a kernel writes. What it must not have read before is poison."""

    def __init__(self, *shape, dtype=np.float32):
        self.value = np.zeros(shape, dtype)


class InOut:
    """An array that a kernel reads and writes."""

    def __init__(self, value):
        self.value = value.copy()


class View:
    """How a kernel walks an array: strides and offset in elements, four axes."""

    def __init__(self, array, base):
        missing = 4 - array.ndim
        size = base.itemsize
        self.offset = (array.ctypes.data - base.ctypes.data) // size
        self.strides = [0] * missing + [stride // size for stride in array.strides]
        self.shape = [1] * missing + list(array.shape)

    def pack(self):
        return struct.pack("@Q4Q4I", self.offset, *self.strides, *self.shape)


class Pointers:
    """A table in device memory that itself holds addresses: `rows(address_of)` gives its bytes."""

    def __init__(self, arrays, rows):
        self.arrays, self.rows = arrays, rows


class Kernels:
    """The kernels of one file."""

    def __init__(self, library):
        self.library = library
        self.launches = 0
        library.emulator_buffer.restype = ctypes.c_void_p

    def buffer(self, name, array, defined, shift):
        array = np.ascontiguousarray(array)
        at = self.library.emulator_buffer(name.encode(), ctypes.c_size_t(array.nbytes), ctypes.c_size_t(shift))
        if not at:
            raise Failure("the emulator has no room")
        if defined:
            ctypes.memmove(at, array.ctypes.data, array.nbytes)
            self.library.emulator_define(ctypes.c_void_p(at), ctypes.c_size_t(array.nbytes))
        return at

    def read(self, at, like, whole):
        if whole and not self.library.emulator_is_defined(ctypes.c_void_p(at), ctypes.c_size_t(like.nbytes)):
            raise Failure("not all of the result was written")
        result = np.empty_like(like)
        ctypes.memmove(result.ctypes.data, at, like.nbytes)
        return result

    def launch(self, kernel, grid, args, dynamic, seed, shift):
        """One launch; the arrays that came of it, in order of arguments."""
        self.library.emulator_clear()
        format, values, results, inputs = "@", [], [], []
        for index, arg in enumerate(args):
            name = f"argument {index}"
            if arg is None:
                format, value = format + "P", 0
            elif isinstance(arg, np.ndarray):
                format, value = format + "P", self.buffer(name, arg, True, shift)
                inputs.append((value, arg))
            elif isinstance(arg, (Out, InOut)):
                format, value = format + "P", self.buffer(name, arg.value, isinstance(arg, InOut), shift)
                results.append((value, arg.value))
            elif isinstance(arg, Pointers):
                addresses = [self.buffer(f"{name}.{i}", part.value, True, shift) for i, part in enumerate(arg.arrays)]
                results += [(at, part.value) for at, part in zip(addresses, arg.arrays)]
                table = np.frombuffer(arg.rows(addresses), np.uint8)
                format, value = format + "P", self.buffer(name, table, True, 0)
            elif isinstance(arg, View):
                format += "Q4Q4I"
                values += [arg.offset, *arg.strides, *arg.shape]
                continue
            else:
                format += "Q" if isinstance(arg, U64) else "f" if isinstance(arg, float) else "I"
                value = arg
            values.append(value)
        packed = struct.pack(format + "0Q", *values)
        facts = (ctypes.c_uint32 * 3)()
        if self.library.emulator_kernel(kernel.encode(), facts):
            raise Failure(f"no kernel {kernel}")
        grid = (ctypes.c_uint32 * 3)(*grid, *[1] * (3 - len(grid)))
        message = ctypes.create_string_buffer(500)
        failed = self.library.emulate(
            kernel.encode(), grid, facts[0], facts[2] if dynamic is None else dynamic, packed, len(packed),
            ctypes.c_uint64(seed), message, ctypes.c_size_t(len(message)),
        )  # fmt: skip
        self.launches += 1
        if failed:
            raise Failure(message.value.decode())
        for at, array in inputs:
            if self.read(at, np.ascontiguousarray(array), False).tobytes() != np.ascontiguousarray(array).tobytes():
                raise Failure("an input was changed")
        return [self.read(at, array, True) for at, array in results]

    def run(self, kernel, grid, args, dynamic=None, aligned=False):
        """The results, which have to be the same bits in another order of threads and blocks, and with buffers that
        are aligned to 4 bytes only, unless the kernel may rely on more."""
        first = self.launch(kernel, grid, args, dynamic, seed=1, shift=0)
        again = self.launch(kernel, grid, args, dynamic, seed=2, shift=0 if aligned else 4)
        for a, b in zip(first, again):
            if a.tobytes() != b.tobytes():
                raise Failure("another order gave other bits")
        return first[0] if len(first) == 1 else first


def close(actual, expected, relative, absolute=0.0, what=""):
    """Fails where a number is further from the expected one than both tolerances together allow."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if actual.shape != expected.shape:
        raise Failure(f"{what}: shape {actual.shape}, not {expected.shape}")
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        near = np.abs(actual - expected) <= absolute + relative * np.abs(expected)
    wrong = ~(same | near)
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        raise Failure(f"{what}: {wrong.sum()} of {wrong.size} numbers are wrong; {at}: {actual[at]}, not {expected[at]}")
