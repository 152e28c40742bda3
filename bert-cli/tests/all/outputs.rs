//! Where results go: files that are whole or not there, closed pipes, full disks, colours.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use crate::common::{Tiny, bert, bert_reading, command, count_files};

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let model = Tiny::new("BertForMaskedLM");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    let out = path.to_str().unwrap();
    let good = bert(["fill-mask", "-m", model.arg(), "--json", "-o", out, "rome is [MASK]"]);
    assert_eq!(good.ok(), "");
    let written = fs::read_to_string(&path).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "{written}");

    bert(["fill-mask", "-m", model.arg(), "--json", "-o", out, "no mask"]).fails(&["[MASK]"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), written);
    assert_eq!(count_files(folder.path()), 1);

    let other = folder.path().join("other.json");
    bert(["fill-mask", "-m", model.arg(), "-o", other.to_str().unwrap(), "no mask"]).fails(&["[MASK]"]);
    assert_eq!(count_files(folder.path()), 1);
}

#[test]
fn what_has_an_answer_is_written_when_other_texts_have_none() {
    let model = Tiny::new("BertForMaskedLM");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let args = ["fill-mask", "-m", model.arg(), "--jsonl", "-o", path.to_str().unwrap(), "-"];
    bert_reading(args, b"a [MASK]\nnone\nb [MASK]\n").reports(&["stdin, line 2", "[MASK]"]);
    let lines: Vec<serde_json::Value> =
        fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn places_that_cannot_be_written_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/out.json");
    bert(["devices", "-o", missing.to_str().unwrap()]).fails(&[
        "cannot write",
        "missing/out.json",
        "there is no folder",
    ]);
    bert(["devices", "-o", folder.path().to_str().unwrap()]).fails(&["is a folder", "results.jsonl"]);
    let read_only = folder.path().join("read-only");
    fs::write(&read_only, "old").unwrap();
    let mut permissions = fs::metadata(&read_only).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&read_only, permissions).unwrap();
    bert(["devices", "-o", read_only.to_str().unwrap()]).fails(&["cannot write", "read-only", "permission"]);
    assert_eq!(fs::read_to_string(&read_only).unwrap(), "old");
    assert_eq!(count_files(folder.path()), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_file_system_and_a_full_disk_are_errors() {
    bert(["devices", "-o", "/proc/bert-out.json"]).fails(&["cannot write", "/proc/bert-out.json"]);
    bert(["devices", "-o", "/dev/full"]).fails(&["cannot write /dev/full", "No space left", "--output"]);
    let stdout = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(["devices", "--json"]).stdout(stdout).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.starts_with("error: cannot write stdout: No space left"), "{stderr}");
}

#[test]
fn results_do_not_replace_their_input() {
    let model = Tiny::new("BertForMaskedLM");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("texts.txt");
    let text = "rome is [MASK].\nit is [MASK].\n";
    fs::write(&path, text).unwrap();
    let file = path.to_str().unwrap();
    for command in ["fill-mask", "tokenize", "complete", "features"] {
        bert([command, "-m", model.arg(), "-i", file, "-o", file]).fails(&["is the input", "another file"]);
    }
    bert(["summarize", "-m", model.arg(), file, "-o", file]).fails(&["is the input"]);
    #[cfg(unix)]
    {
        let link = folder.path().join("link.txt");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        bert(["tokenize", "-m", model.arg(), "-i", file, "-o", link.to_str().unwrap()])
            .fails(&["is the input"]);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_whatever_is_answered() {
    let model = Tiny::new("BertForMaskedLM");
    for command in ["fill-mask", "complete", "tokenize"] {
        for texts in [&["a [MASK]"][..], &["a [MASK]", "b [MASK]"]] {
            let args = [&[command, "-m", model.arg()], texts].concat();
            let stdout = fs::File::options().write(true).open("/dev/full").unwrap();
            let output = super::common::command(&args).stdout(stdout).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(stderr.contains("error: cannot write stdout: No space left"), "{args:?}: {stderr}");
            assert_eq!(output.status.code(), Some(2), "{stderr}");
        }
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let model = Tiny::new("BertModel");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("texts.txt");
    fs::write(&path, "paris\n".repeat(100_000)).unwrap();
    let args = ["tokenize", "-m", model.arg(), "--jsonl", "-i", path.to_str().unwrap()];
    let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn tables_with_tabs_have_no_quotes_and_a_cell_no_tab() {
    let model = Tiny::new("BertForSequenceClassification");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |from: &str, text: &str, to: &str| {
        fs::write(path(from), text).unwrap();
        let args = ["sentiment", "--device", "cpu", "-m", model.arg(), "--keep", "all", "-i", &path(from)];
        bert(args.iter().chain(&["-o", &path(to)])).ok();
        fs::read_to_string(path(to)).unwrap()
    };
    let written = run("a.tsv", "id\ttext\n1\t\"the door\" opened\n", "b.tsv");
    assert!(written.lines().nth(1).unwrap().contains("\t\"the door\" opened\t"), "{written}");
    let written = run("a.csv", "text\n\"the\tdoor\r\n\"\"opened\"\"\"\n", "c.tsv");
    assert!(written.lines().nth(1).unwrap().contains("the␉door␊\"opened\"\t"), "{written}");
    // No two columns have one name, whatever those of the input are called.
    let written = run("d.csv", "text,label,input_label\nthe door,b,c\n", "e.csv");
    let names: Vec<_> = written.lines().next().unwrap().split(',').collect();
    assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len(), "{names:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_no_file() {
    let model = Tiny::new("BertModel");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let args = ["tokenize", "-m", model.arg(), "--jsonl", "-o", path.to_str().unwrap(), "-"];
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    while count_files(folder.path()) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    // Waiting closes the standard input of a child, at whose end the run would end by itself.
    let stdin = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdin);
    assert_eq!(count_files(folder.path()), 0);
}

/// As `nohup` and a shell without job control start what runs in the background.
#[cfg(unix)]
#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let model = Tiny::new("BertModel");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let bert = command(["tokenize", "-m", model.arg(), "--jsonl", "-o", path.to_str().unwrap(), "-"]);
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "trap '' INT HUP TERM; exec \"$0\" \"$@\""])
        .arg(bert.get_program())
        .args(bert.get_args());
    shell.envs(bert.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = shell.stdin(Stdio::piped()).spawn().unwrap();
    while count_files(folder.path()) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for signal in ["-INT", "-HUP", "-TERM"] {
        let sent =
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
    child.stdin.take().unwrap().write_all(b"paris\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
}

/// Limits on processes do not hold for root, who can become somebody else for whom they do.
#[cfg(target_os = "linux")]
#[test]
fn without_another_thread_there_is_an_answer_or_a_reason() {
    let run = |args: &[&str]| {
        let bert = command([&["sentiment", "--device", "cpu"], args].concat());
        let mut limited = std::process::Command::new("setpriv");
        limited.args(["--reuid=65533", "--regid=65533", "--clear-groups", "prlimit", "--nproc=1"]);
        limited.arg(bert.get_program()).args(bert.get_args()).current_dir("/");
        limited.envs(bert.get_envs().filter_map(|(name, value)| Some((name, value?)))).output()
    };
    match run(&["--help"]) {
        Ok(output) if output.status.success() => (),
        _ => return eprintln!("SKIPPED: setpriv and prlimit cannot limit the threads of the command here"),
    }
    let texts = ["a gorgeous film", "a dull film", "--jsonl"];
    let one = run(&[&["--threads", "1"][..], &texts].concat()).unwrap();
    assert_eq!(String::from_utf8_lossy(&one.stderr), "");
    assert_eq!(String::from_utf8(one.stdout).unwrap().lines().count(), 2);
    let two = run(&[&["--threads", "2"][..], &texts].concat()).unwrap();
    let said = String::from_utf8(two.stderr).unwrap();
    assert!(said.starts_with("error: ") && said.contains("thread") && !said.contains("panicked"), "{said}");
    assert_eq!(two.status.code(), Some(2));
}

#[test]
fn colours_are_for_terminals_unless_asked_for() {
    let model = Tiny::new("BertForMaskedLM");
    let run = |color: &[&str], variables: &[(&str, &str)]| {
        let args = ["fill-mask", "-m", model.arg(), "rome [MASK]", "paris [MASK]"];
        let output = command([&args, color].concat()).envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success());
        [output.stdout, output.stderr].map(|stream| stream.contains(&b'\x1b'))
    };
    assert_eq!(run(&[], &[]), [false, false]);
    assert_eq!(run(&["--color", "always"], &[]), [true, true]);
    assert_eq!(run(&["--color", "always"], &[("NO_COLOR", "1")]), [true, true]);
    assert_eq!(run(&[], &[("CLICOLOR_FORCE", "1")]), [true, true]);
    assert_eq!(run(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]), [false, false]);
    assert_eq!(run(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), [false, false]);
}

#[test]
fn escapes_in_a_text_do_not_reach_plain_output_but_stay_in_data() {
    let model = Tiny::new("BertForMaskedLM");
    let text = "a\x1b[31m [MASK]\x07";
    let plain = bert(["fill-mask", "-m", model.arg(), text, text]).ok();
    assert!(
        !plain.contains('\x1b') && !plain.contains('\x07') && plain.contains("a␛[31m [MASK]␇"),
        "{plain}"
    );
    let csv = bert(["fill-mask", "-m", model.arg(), "--csv", text]).ok();
    assert!(csv.contains(text), "{csv}");
    let json = bert(["fill-mask", "-m", model.arg(), "--json", text]).json();
    assert_eq!(json["text"], text);
}

#[test]
fn quiet_leaves_nothing_but_errors() {
    let model = Tiny::new("BertForMaskedLM");
    let talk = bert(["fill-mask", "-m", model.arg(), "rome [MASK]"]);
    assert!(talk.stderr.starts_with("note: model "), "{}", talk.stderr);
    assert_eq!(bert(["fill-mask", "-q", "-m", model.arg(), "rome [MASK]"]).stderr, "");
    assert_eq!(bert(["fill-mask", "--device", "cpu", "-m", model.arg(), "rome [MASK]"]).stderr, "");
    bert(["fill-mask", "-q", "-m", model.arg(), "rome"]).fails(&["[MASK]"]);
}

#[test]
fn formats_exclude_each_other() {
    bert(["devices", "--json", "--csv"]).fails(&["--json", "--csv", "cannot be used"]);
}

#[test]
fn a_file_has_the_form_that_its_extension_names() {
    let model = Tiny::new("BertForSequenceClassification");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, more: &[&str]| {
        let path = folder.path().join(name);
        let args = ["classify", "-m", model.arg(), "-o", path.to_str().unwrap(), "paris", "a \"b\",\tc"];
        (bert([&args, more].concat()), path)
    };
    let read = |name: &str, more: &[&str]| {
        let (run, path) = write(name, more);
        assert_eq!(run.ok(), "");
        fs::read_to_string(path).unwrap()
    };
    let array: serde_json::Value = serde_json::from_str(&read("a.json", &[])).unwrap();
    assert_eq!(array.as_array().unwrap().len(), 2);
    assert!(read("a.jsonl", &[]).lines().all(|line| line.starts_with("{\"text\": ")));
    assert!(read("a.csv", &[]).starts_with("text,label,score\nparis,"));
    let tsv = read("a.tsv", &[]);
    assert!(tsv.starts_with("text\tlabel\tscore\nparis\t") && tsv.contains("\na \"b\",␉c\t"), "{tsv}");
    for name in ["a.txt", "a"] {
        assert!(read(name, &[]).starts_with("paris\n  "), "{name}");
    }
    // What is asked for comes first.
    assert!(read("b.json", &["--csv"]).starts_with("text,label,score\n"));
    assert!(read("b.xyz", &["--jsonl"]).starts_with("{\"text\""));
    for name in ["c.xyz", "c.csv.gz", "c.npy"] {
        let (run, path) = write(name, &[]);
        run.fails(&[name, ".json, .jsonl, .csv, .tsv and .txt"]);
        assert!(!path.exists());
    }
}

#[test]
fn vectors_are_written_as_an_array() {
    let model = Tiny::new("BertModel");
    let folder = tempfile::tempdir().unwrap();
    let (texts, out) = (folder.path().join("a.txt"), folder.path().join("a.npy"));
    fs::write(&texts, "paris\nrome\n\n").unwrap();
    let run = |more: &[&str]| {
        let args = ["embed", "-m", model.arg(), "-i", texts.to_str().unwrap()];
        bert([&args, more].concat())
    };
    let vectors = run(&["--jsonl"]).jsonl();
    let to_file = ["-o", out.to_str().unwrap()];
    assert_eq!(run(&to_file).ok(), "");
    let bytes = fs::read(&out).unwrap();
    let header = String::from_utf8_lossy(&bytes[10..128]);
    assert!(bytes.starts_with(b"\x93NUMPY\x01\0") && header.contains("'shape': (3, 16)"), "{header}");
    let numbers: Vec<f32> =
        bytes[128..].chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    let expected: Vec<f32> = vectors
        .iter()
        .flat_map(|line| line["vector"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32))
        .collect();
    assert_eq!(numbers, expected);
    // A text without a vector would shift the others.
    fs::write(&texts, b"paris\n\xff\nrome\n").unwrap();
    let run = run(&to_file);
    assert_eq!((run.code, run.stdout.len()), (Some(2), 0), "{}", run.stderr);
    assert!(
        run.stderr.contains("line 2: not valid UTF-8") && run.stderr.contains("given up"),
        "{}",
        run.stderr
    );
    assert_eq!(fs::read(&out).unwrap(), bytes);
    let sparse = Tiny::new("BertForMaskedLM");
    bert(["embed", "--sparse", "-m", sparse.arg(), "-o", out.to_str().unwrap(), "paris"]).fails(&["a.npy"]);
}
