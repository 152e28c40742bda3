//! Pickles that want to run code, to eat memory, or to confuse the reader. None may do so.

use bert_core::checkpoint::{Checkpoint, CheckpointError, PickleError, TorchError};

use super::files::{Pickle, TorchTensor, counting, torch};
use super::refused;

fn pickle_error(program: Vec<u8>) -> PickleError {
    match refused(torch(&program, &[("0", &counting(2))])) {
        CheckpointError::Torch { source: TorchError::Pickle(error), .. } => error,
        other => panic!("{other}"),
    }
}

#[test]
fn nothing_can_be_imported() {
    let import = |module: &str, name: &str| Pickle::new().global(module, name);
    let programs = [
        ("os", "system", import("os", "system").text("touch /tmp/owned").raw(b"\x85R")),
        ("posix", "system", import("posix", "system").raw(b")R")),
        ("builtins", "eval", import("builtins", "eval").text("1").raw(b"\x85R")),
        ("builtins", "getattr", import("builtins", "getattr")),
        ("torch", "load", import("torch", "load")),
        ("torch", "FloatStorage.os", import("torch", "FloatStorage.os")),
        ("torch._utils", "_rebuild_tensor_v3", import("torch._utils", "_rebuild_tensor_v3")),
        ("torch.storage", "_load_from_bytes", import("torch.storage", "_load_from_bytes")),
        ("collections", "OrderedDict ", import("collections", "OrderedDict ")),
        ("os", "system", Pickle::new().text("os").text("system").raw(b"\x93")),
        // The module and the name come out of the memo, where they were put apart.
        ("os", "system", Pickle::new().text("os").raw(b"q\x07").text("system").raw(b"\x94h\x07h\x01\x93")),
        // Half of an allowed name.
        ("collections", "system", Pickle::new().text("collections").text("system").raw(b"\x93")),
        ("__main__", "\u{1b}[31m", import("__main__", "\u{1b}[31m")),
    ];
    for (module, name, program) in programs {
        let error = pickle_error(program.stop());
        match &error {
            PickleError::Class { module: m, name: n, .. } => {
                assert_eq!((m.as_str(), n.as_str()), (module, name))
            }
            other => panic!("{module}.{name}: {other}"),
        }
        assert!(!error.to_string().contains('\u{1b}'), "a file must not paint on the terminal");
    }
    let long = pickle_error(Pickle::new().global(&"m".repeat(100_000), "n").stop());
    assert!(long.to_string().len() < 1000, "{long}");
}

#[test]
fn every_other_opcode_is_refused_by_name() {
    let known = b".\x80\x95(N\x88\x89KMJ\x8aX\x8c)t\x85\x86\x87]ae}suqr\x94hjc\x93QRb";
    for code in (0..=255u8).filter(|code| !known.contains(code)) {
        let error = pickle_error(Pickle::new().raw([code]).raw([0; 16]).stop());
        assert!(matches!(error, PickleError::Opcode { code: found, at: 2, .. } if found == code), "{error}");
    }
    for (code, name) in [
        (b'i', "INST"),
        (b'o', "OBJ"),
        (0x81, "NEWOBJ"),
        (0x82, "EXT1"),
        (b'P', "PERSID"),
        (b'\n', "not an opcode"),
    ] {
        assert!(pickle_error(Pickle::new().raw([code]).stop()).to_string().contains(name));
    }
    for protocol in [0, 1, 6, 255] {
        assert_eq!(pickle_error(vec![0x80, protocol, b'.']), PickleError::Protocol { protocol });
    }
}

#[test]
fn values_are_what_they_have_to_be() {
    let tensor = TorchTensor::new("a", "0", &[2], &[1]);
    let rebuild = || Pickle::new().global("torch._utils", "_rebuild_tensor_v2");
    let storage = |class: &str| {
        Pickle::new().raw(b"(").text("storage").global("torch", class).text("0").text("cpu").int(2).raw(b"tQ")
    };
    let programs = [
        // Nothing on the stack, or only what lies under a mark.
        Pickle::new(),
        Pickle::new().raw(b"}(s"),
        Pickle::new().raw(b"K\x01(\x85"),
        Pickle::new().raw(b"(q\x00"),
        Pickle::new().raw(b"q\x00"),
        Pickle::new().raw(b"t"),
        Pickle::new().raw(b"R"),
        Pickle::new().raw(b"\x93"),
        // Memo slots that were never filled.
        Pickle::new().raw(b"h\x00"),
        Pickle::new().raw(b"j\xff\xff\xff\xff"),
        // Odd and misplaced containers.
        Pickle::new().raw(b"}(K\x01u"),
        Pickle::new().raw(b"](K\x01K\x02u"),
        Pickle::new().raw(b"}K\x01a"),
        Pickle::new().raw(b"}(K\x01e"),
        Pickle::new().raw(b"K\x01K\x02K\x03s"),
        // State for something that is no dictionary: a class, a tensor, a number.
        Pickle::new().global("collections", "OrderedDict").raw(b"}b"),
        Pickle::new().tensor(&tensor).raw(b"}b"),
        Pickle::new().raw(b"K\x01}b"),
        // Calls of what cannot be called, or with the wrong arguments.
        Pickle::new().text("os.system").raw(b")R"),
        Pickle::new().ordered_dict().raw(b")R"),
        Pickle::new().global("torch", "FloatStorage").raw(b")R"),
        Pickle::new().global("torch", "Size").raw(b")R"),
        Pickle::new().global("torch", "Size").raw(b"K\x01\x85R"),
        Pickle::new().global("torch._utils", "_rebuild_parameter").raw(b"K\x01\x85R"),
        Pickle::new().global("collections", "OrderedDict").raw(b"K\x01\x85R"),
        Pickle::new().global("collections", "OrderedDict").raw(b"K\x01R"),
        rebuild().raw(b")R"),
        rebuild().raw(b"(NK\x00").ints(&[2]).ints(&[1]).raw(b"tR"),
        rebuild().raw(b"(").raw(storage("FloatStorage").0.split_off(2)).raw(b"K\x00tR"),
        storage("Size"),
        Pickle::new().raw(b"K\x01Q"),
        Pickle::new().raw(b"()tQ"),
        Pickle::new().raw(b"\x8a\x09\x01\x02\x03\x04\x05\x06\x07\x08\x09"),
        Pickle::new().raw(b"X\x02\x00\x00\x00\xff\xfe"),
        Pickle::new().raw(b"\x8c\x01\xffX"),
        Pickle::new().raw(b"c\xff\n\xff\n"),
    ];
    for program in programs {
        let shown = String::from_utf8_lossy(&program.0).into_owned();
        let error = pickle_error(program.stop());
        assert!(matches!(error, PickleError::Malformed { .. }), "{shown:?}: {error}");
    }
    let nothing = [Pickle::new().raw(b"N"), Pickle::new().raw(b"}"), Pickle::new().tensor(&tensor)];
    for program in nothing {
        assert_eq!(pickle_error(program.stop()), PickleError::NotAStateDict);
    }
    let endless = [
        Pickle::new().raw(b"X\xff\xff\xff\xff"),
        Pickle::new().raw(b"cos"),
        Pickle::new().raw(b"\x95\0"),
        Pickle::new().raw(b"J"),
    ];
    for program in endless {
        assert!(matches!(pickle_error(program.0), PickleError::Truncated { .. }));
    }
}

#[test]
fn a_program_cannot_grow_beyond_its_length() {
    // A billion laughs: each list holds the one before it ten times over.
    let laughs = (0..200u8).fold(Pickle::new().raw(b"]q\x00"), |pickle, i| {
        (0..10).fold(pickle.raw(b"]("), |pickle, _| pickle.raw([b'h', i])).raw([b'e', b'q', i + 1])
    });
    assert_eq!(pickle_error(laughs.stop()), PickleError::NotAStateDict);
    // A million tuples in each other, and a dictionary that holds itself.
    let nested = Pickle::new().raw(b")").raw(b"\x85".repeat(1_000_000));
    assert_eq!(pickle_error(nested.stop()), PickleError::NotAStateDict);
    let own = Pickle::new().raw(b"}q\x00").text("a").raw(b"h\x00s");
    assert_eq!(pickle_error(own.stop()), PickleError::NotAStateDict);
    // More values, marks, memo slots or bytes than any model has.
    for (flood, what) in [(b")".repeat(2_000_000), "values"), (vec![b'('; (16 << 20) + 1], "bytes")] {
        let error = pickle_error(Pickle::new().raw(flood).stop());
        assert!(matches!(error, PickleError::TooLarge { what: found, .. } if found == what), "{error}");
    }
    let memo =
        (0..1_100_000u32).flat_map(|slot| [&b"r"[..], &slot.to_le_bytes()].concat()).collect::<Vec<_>>();
    assert!(matches!(
        pickle_error(Pickle::new().raw(b")").raw(memo).stop()),
        PickleError::TooLarge { what: "memo slots", .. }
    ));
    let marks = Pickle::new().raw(b"(".repeat(1_000_000));
    assert!(matches!(pickle_error(marks.stop()), PickleError::Malformed { .. }));
    // One call, its arguments in the memo, over and over.
    let tensor = TorchTensor::new("a", "0", &[2], &[1]);
    let program = Pickle::new().tensor(&tensor);
    let call = program.0.len() - 1;
    let calls = Pickle(program.0[..call].to_vec())
        .raw(b"q\x01")
        .global("torch._utils", "_rebuild_tensor_v2")
        .raw(b"q\x02");
    let calls = calls.raw(b"h\x02h\x01R".repeat(110_000));
    assert_eq!(pickle_error(calls.stop()), PickleError::TooLarge { what: "tensors", limit: 100_000 });
    // An axis for every value of a long tuple.
    let axes = vec![1; 65];
    let deep = Pickle::new()
        .raw(b"}")
        .text("a")
        .tensor(&TorchTensor { shape: &axes, strides: &axes, ..tensor })
        .raw(b"s");
    assert!(matches!(pickle_error(deep.stop()), PickleError::Malformed { what: "a tensor", .. }));
}

#[test]
fn names_of_storages_cannot_leave_the_archive() {
    for key in ["../data.pkl", "/etc/passwd", "../../0", "", "0\0", "data/0"] {
        let tensor = TorchTensor::new("a", key, &[2], &[1]);
        let program = Pickle::new().raw(b"}").text("a").tensor(&tensor).raw(b"s").stop();
        match refused(torch(&program, &[("0", &counting(2))])) {
            CheckpointError::Torch { source: TorchError::NoStorage { .. }, .. } => {}
            other => panic!("{key:?}: {other}"),
        }
    }
}

#[test]
fn the_last_of_equal_names_counts() {
    let second = TorchTensor { length: 2, offset: 1, ..TorchTensor::new("a", "0", &[1], &[1]) };
    let first = TorchTensor { offset: 0, ..second };
    let program =
        Pickle::new().raw(b"}(").text("a").tensor(&first).text("a").tensor(&second).raw(b"u").stop();
    let checkpoint = Checkpoint::from_bytes(torch(&program, &[("0", &counting(2))])).unwrap();
    assert_eq!(checkpoint.tensor("a", &[1]).unwrap().to_f32().unwrap()[[0]], 1.0);
}
