#!/usr/bin/env python3
"""Runs the tests of this crate on an emulated processor with AVX-512, its VNNI and its bf16.

    pip install bochscpu-python==0.4.0
    target=x86_64-unknown-linux-gnu
    RUSTFLAGS="-C target-feature=+crt-static" cargo test -p bert-backend-cpu --lib --no-run --target $target
    BERT_SIMD=avx512 BERT_THREADS=1 python3 run.py PATH-THAT-CARGO-PRINTED --test-threads=1 \\
        --skip pool:: --skip memory:: --skip many_callers

Bochs's processor executes the program, and this script answers its system calls: as many as a static Linux
program of one thread needs that only computes and prints. Five million instructions a second: half an hour
for all tests but `attention_of_ragged_batches`, which wants one of its own. The package needs x86-64 Linux with
glibc 2.38 or later.
"""

import ctypes
import mmap
import os
import re
import struct
import sys
import time

import bochscpu
import bochscpu.cpu
import bochscpu.memory

# Guest memory, at the same addresses for the program and for the processor.
PAGE = 4096
SIZE = 4 << 30
ENTRY_OF_CALLS = 0x1000
PAGE_TABLES = 0x10000
PROGRAM = 0x400000
END_OF_HEAP = 0x0E000000
STACK = 0x0F000000
MAPPINGS = 0x10000000

ENOENT, EBADF, EAGAIN, ENOMEM, EINVAL, ENOTTY, ENOSYS = 2, 9, 11, 12, 22, 25, 38


def emulate_sapphire_rapids():
    """Makes the processor of the package, a Cannon Lake, one that has VNNI and bf16 too."""
    library = ctypes.CDLL(bochscpu._bochscpu.__file__)
    old, new = (
        ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        for name in ("_Z23create_corei3_cnl_cpuidP8BX_CPU_C", "_Z28create_sapphire_rapids_cpuidP8BX_CPU_C")
    )
    writable = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    if mprotect(ctypes.c_void_p(old & -PAGE), ctypes.c_size_t(2 * PAGE), writable) != 0:
        sys.exit(f"mprotect: {os.strerror(ctypes.get_errno())}")
    # mov rax, new; jmp rax
    ctypes.memmove(old, b"\x48\xb8" + struct.pack("<Q", new) + b"\xff\xe0", 12)


def correct_displacements(code):
    """Makes up for a fault of the package: a one-byte displacement of `vdpbf16ps` counts 4 bytes there, not 64."""
    code = bytearray(code)
    # EVEX with a vector of 512 bits, the opcode, and an operand in memory with such a displacement.
    pattern = rb"\x62[\x02-\xf2][\x06-\x7e][\x40-\xcf]\x52[\x40-\x7f]"
    for match in re.finditer(pattern, bytes(code), re.DOTALL):
        first, second, third, _, operand = match.group()[1:]
        at = match.end() + (operand & 7 == 4)
        if first & 0xF == 2 and second & 0x87 == 6 and third & 0x70 == 0x40:
            lines = int.from_bytes(code[at : at + 1], signed=True)
            if -8 <= lines < 8:
                code[at : at + 1] = (16 * lines).to_bytes(1, signed=True)
            else:
                print(f"a vdpbf16ps at {64 * lines} bytes from its base will go wrong", file=sys.stderr)
    return code


class Memory:
    """The memory of the guest: zeros until written."""

    def __init__(self):
        self.bytes = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.host = ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))
        present_writable_user, large = 7, 0x80
        self.words(PAGE_TABLES, (PAGE_TABLES + PAGE) | present_writable_user)
        for gigabyte in range(SIZE >> 30):
            table = PAGE_TABLES + (2 + gigabyte) * PAGE
            self.words(PAGE_TABLES + PAGE + 8 * gigabyte, table | present_writable_user)
            pages = (gigabyte << 30 | page << 21 for page in range(512))
            self.words(table, *(page | large | present_writable_user for page in pages))

    def words(self, at, *values):
        struct.pack_into(f"<{len(values)}Q", self.bytes, at, *values)

    def load(self, path):
        """Loads a static ELF program: where it starts, its program headers, and where the heap may begin."""
        with open(path, "rb") as file:
            elf = file.read()
        kind, machine = struct.unpack_from("<HH", elf, 16)
        entry, headers = struct.unpack_from("<QQ", elf, 24)
        size, count = struct.unpack_from("<HH", elf, 54)
        if elf[:5] != b"\x7fELF\x02" or machine != 62:
            sys.exit(f"{path}: not a program for x86-64")
        bias, end = PROGRAM if kind == 3 else 0, 0
        for i in range(count):
            what, flags, offset, address, _, in_file, in_memory, _ = struct.unpack_from("<IIQQQQQQ", elf, headers + i * size)
            if what == 3:
                sys.exit(f"{path}: not a static program")
            if what == 1:
                piece = elf[offset : offset + in_file]
                if flags & 1:
                    piece = correct_displacements(piece)
                self.bytes[bias + address : bias + address + in_file] = piece
                end = max(end, bias + address + in_memory)
        return bias + entry, (bias + headers, size, count), -(-end // PAGE) * PAGE

    def stack(self, arguments, variables, entry, headers):
        """Lays out what a program finds on its stack; gives the stack pointer."""
        at = STACK

        def push(data):
            nonlocal at
            at -= len(data)
            self.bytes[at : at + len(data)] = data
            return at

        random = push(bytes(range(16)))
        arguments = [push(text.encode() + b"\0") for text in arguments]
        variables = [push(text.encode() + b"\0") for text in variables]
        # AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_ENTRY, AT_RANDOM
        auxiliary = [3, headers[0], 4, headers[1], 5, headers[2], 6, PAGE, 9, entry, 25, random, 0, 0]
        words = [len(arguments), *arguments, 0, *variables, 0, *auxiliary]
        at = (at - 8 * len(words)) & -64
        self.words(at, *words)
        return at


class Kernel:
    """Answers system calls."""

    def __init__(self, memory, heap):
        self.memory, self.heap, self.first_heap = memory, heap, heap
        self.top, self.free = MAPPINGS, {}
        self.status, self.unknown = None, set()

    def call(self, cpu):
        arguments = [cpu.rdi, cpu.rsi, cpu.rdx, cpu.r10, cpu.r8, cpu.r9]
        cpu.rax = self.answer(cpu, cpu.rax, arguments) & (2**64 - 1)

    def answer(self, cpu, number, a):
        memory = self.memory
        match number:
            case 1:  # write
                return os.write(a[0], memory.bytes[a[1] : a[1] + a[2]]) if a[0] in (1, 2) else -EBADF
            case 20 if a[0] in (1, 2):  # writev
                pieces = (struct.unpack_from("<QQ", memory.bytes, a[1] + 16 * i) for i in range(a[2]))
                return sum(os.write(a[0], memory.bytes[at : at + length]) for at, length in pieces)
            case 9:  # mmap
                return self.map(a[1]) if a[3] & mmap.MAP_ANONYMOUS else -ENOENT
            case 11:  # munmap
                self.free.setdefault(-(-a[1] // PAGE), []).append(a[0])
                return 0
            case 25:  # mremap
                to = self.map(a[2])
                if to > 0:
                    ctypes.memmove(memory.host + to, memory.host + a[0], min(a[1], a[2]))
                return to
            case 12:  # brk
                if self.first_heap <= a[0] < END_OF_HEAP:
                    self.heap = a[0]
                return self.heap
            case 158 if a[0] == 0x1002:  # arch_prctl(ARCH_SET_FS)
                segment = cpu.fs
                segment.base = a[1]
                cpu.fs = segment
                return 0
            case 228:  # clock_gettime
                memory.words(a[1], *divmod(time.time_ns(), 10**9))
                return 0
            case 318:  # getrandom
                memory.bytes[a[0] : a[0] + a[1]] = bytes(i * 37 & 255 for i in range(a[1]))
                return a[1]
            case 204:  # sched_getaffinity: one processor
                memory.words(a[2], 1)
                return 8
            case 302:  # prlimit64
                if a[3]:
                    memory.words(a[3], 8 << 20, 8 << 20)
                return 0
            case 60 | 231:  # exit, exit_group
                self.status = a[0]
                return 0
            case 200 | 234:  # tkill, tgkill: the program aborts
                self.status = 134
                return 0
            case 7 | 10 | 13 | 14 | 24 | 28 | 131 | 202 | 273:
                # poll, mprotect, signals, sched_yield, madvise, sigaltstack, futex, set_robust_list
                return 0
            case 39 | 186 | 218:  # getpid, gettid, set_tid_address
                return 1
            case 79:  # getcwd
                memory.bytes[a[0] : a[0] + 2] = b"/\0"
                return 2
            case 2 | 4 | 21 | 89 | 257 | 262 | 267 | 332:  # there are no files
                return -ENOENT
            case 56 | 435:  # and no threads
                return -EAGAIN
            case 16:  # ioctl
                return -ENOTTY
            case 158 | 334:  # arch_prctl, rseq
                return -EINVAL
        if number not in self.unknown:
            self.unknown.add(number)
            print(f"system call {number} is not there", file=sys.stderr)
        return -ENOSYS

    def map(self, length):
        pages = -(-length // PAGE)
        if self.free.get(pages):
            at = self.free[pages].pop()
            ctypes.memset(self.memory.host + at, 0, pages * PAGE)
            return at
        at = self.top
        if at + pages * PAGE > SIZE:
            return -ENOMEM
        self.top += pages * PAGE
        return at


def segment(selector, attributes):
    it = bochscpu.Segment()
    it.present, it.selector, it.base, it.limit, it.attr = True, selector, 0, 0xFFFFFFFF, attributes
    return it


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    emulate_sapphire_rapids()
    memory = Memory()
    entry, headers, heap = memory.load(arguments[0])
    prefixes = ("BERT_", "RUST_", "PROPTEST_")
    variables = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(prefixes)]
    # All runs in ring 0. A call lands here: `wbinvd`, which the hook below sees, and `jmp rcx`, back.
    memory.bytes[ENTRY_OF_CALLS : ENTRY_OF_CALLS + 4] = b"\x0f\x09\xff\xe1"

    state = bochscpu.State()
    bochscpu.cpu.set_long_mode(state)
    state.cr0 = 0x80010033  # paging, write protection, numeric errors, protected mode
    state.cr4 |= 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18  # SSE and its exceptions, FSGSBASE, XSAVE
    state.xcr0 = 0xE7  # AVX and AVX-512
    state.cr3 = PAGE_TABLES
    state.efer = 0xD01  # long mode, system calls
    state.cs = segment(8, 0xA09B)
    state.ss = state.ds = state.es = state.fs = state.gs = segment(16, 0xC093)
    state.star, state.lstar, state.sfmask = 8 << 32, ENTRY_OF_CALLS, 0
    state.mxcsr, state.mxcsr_mask, state.fpcw = 0x1F80, 0xFFFF, 0x37F
    state.rflags, state.rip = 2, entry
    state.rsp = memory.stack(arguments, variables, entry, headers)

    session = bochscpu.Session()
    session.missing_page_handler = lambda at: bochscpu.memory.page_insert(at & -PAGE, memory.host + (at & -PAGE))
    for at in range(0, PAGE_TABLES + (2 + (SIZE >> 30)) * PAGE, PAGE):
        bochscpu.memory.page_insert(at, memory.host + at)
    session.cpu.state = state
    kernel = Kernel(memory, heap)

    def on_call(session, *_):
        kernel.call(session.cpu)
        if kernel.status is not None:
            session.stop()

    def on_exception(session, _, vector, *rest):
        cpu = session.cpu
        print(f"exception {vector} {rest} at {cpu.rip:#x}, address {cpu.cr2:#x}", file=sys.stderr)
        kernel.status = 139
        session.stop()

    hook = bochscpu.Hook()
    hook.cache_cntrl, hook.exception = on_call, on_exception
    session.run([hook])
    sys.stdout.flush()
    # Without the destructors of the package, which takes long for them.
    os._exit(1 if kernel.status is None else kernel.status)


main(sys.argv[1:])
