//! A crate with a backend that works and waits to be made fast: `cargo xtask new-backend NAME`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What the crate is made of. The word template, in either spelling, becomes the name.
const FILES: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/src/lib.rs")),
    ("tests/conformance.rs", include_str!("template/tests/conformance.rs")),
];

/// Make a crate with a backend in its plainest form, which passes the conformance suite at once.
#[derive(clap::Args)]
pub struct Args {
    /// What the backend is called: `abacus` makes bert-backend-abacus with an AbacusBackend.
    name: String,
}

/// Makes the crate, adds it to the workspace, and says what to do next.
///
/// # Errors
/// A name that cannot be one, a crate that is there already, a disk that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let folder = create(&crate::workspace_root(), &args.name)?;
    let (name, word) = (&args.name, camel_case(&args.name));
    println!(
        "{} is part of the workspace. It passes\n    cargo test -p bert-backend-{name}\n\nTo run it as \
         `cargo xtask conformance --backend {name}`, add\n    bert-backend-{name} = {{ path = \
         \"bert-backend-{name}\" }}\nto [workspace.dependencies] of Cargo.toml,\n    bert-backend-{name}.workspace = \
         true\nto xtask/workbench/Cargo.toml, and to `candidates` of xtask/workbench/src/conformance/registry.rs\n    \
         all.push(candidate(\"{name}\", |name| {{\n        Ok::<_, bert_core::Error>(Subject::new(name, \
         bert_backend_{}::{word}Backend, vec![]))\n    }}));\n\ndocs/adding-a-backend.md goes on from here.",
        folder.display(),
        name.replace('-', "_"),
    );
    Ok(())
}

/// Makes the crate in a workspace.
fn create(root: &Path, name: &str) -> Result<PathBuf> {
    check(name)?;
    let manifest = root.join("Cargo.toml");
    let workspace = fs::read_to_string(&manifest).map_err(Error::file("read", &manifest))?;
    let workspace = with_member(&workspace, &format!("bert-backend-{name}"))
        .ok_or_else(|| Error::NoMembers { path: manifest.clone() })?;
    let folder = root.join(format!("bert-backend-{name}"));
    // Not `create_dir_all`: what is there stays as it is.
    fs::create_dir(&folder).map_err(Error::file("create", &folder))?;
    for (file, text) in FILES {
        let path = folder.join(file);
        let parent = path.parent().expect("a file in a folder");
        fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
        let snake = name.replace('-', "_");
        let text = text.replace("bert_backend_template", &format!("bert_backend_{snake}"));
        let text = text.replace("Template", &camel_case(name)).replace("template", name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
    }
    fs::write(&manifest, workspace).map_err(Error::file("write", &manifest))?;
    Ok(folder)
}

/// The longest name that leaves the lines of the files within their width.
const LONGEST: usize = 16;

fn check(name: &str) -> Result<()> {
    let fail = |reason: &'static str| Err(Error::BackendName { found: name.to_owned(), reason });
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return fail("it has to begin with a letter from a to z");
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return fail("only a to z, 0 to 9 and - are allowed");
    }
    if name.ends_with('-') || name.contains("--") {
        return fail("- is allowed only between other characters");
    }
    if name.len() > LONGEST {
        return fail("at most 16 characters are allowed");
    }
    if ["auto", "reference", "template"].contains(&name) {
        return fail("this name is reserved here");
    }
    Ok(())
}

/// `my-npu` -> `MyNpu`
fn camel_case(name: &str) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').map(capital).collect()
}

/// A workspace's manifest with one more member, at the end of the list, which is compiled optimised even for
/// tests: plain loops take minutes otherwise. `None` if there is no list.
fn with_member(manifest: &str, member: &str) -> Option<String> {
    let start = manifest.find("\nmembers = [")? + "\nmembers = [".len();
    let end = start + manifest[start..].find(']')?;
    let members = manifest[start..end].trim_end().trim_end_matches(',');
    let comma = if members.trim().is_empty() { "" } else { ", " };
    let (before, after) = (&manifest[..start], manifest[end..].trim_end());
    let profile = format!("[profile.dev.package.{member}]\nopt-level = 2\n");
    Some(format!("{before}{members}{comma}\"{member}\"{after}\n\n{profile}"))
}

#[cfg(test)]
#[path = "template/src/lib.rs"]
mod template;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bert_conformance::{Mode, Plan, Verdict};

    use super::*;

    #[test]
    fn the_plainest_form_is_right() {
        let plan = Plan { modes: vec![Mode::Ops, Mode::Fused], most_work: 3_000, ..Plan::all(1) };
        let verdicts = bert_conformance::run("template", &template::TemplateBackend, &[], &plan);
        let wrong: Vec<_> = verdicts.iter().filter(|v| v.is_error()).map(Verdict::to_string).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// A workspace of nothing but new backends, which takes its libraries from this one.
    fn scratch(name: &str) -> PathBuf {
        let root = crate::workspace_root();
        let scratch = root.join("target/tmp").join(name);
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).unwrap();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let members = manifest.find("\nmembers = [").unwrap() + 1;
        let end = members + manifest[members..].find(']').unwrap();
        let manifest = format!("{}members = [{}", &manifest[..members], &manifest[end..]);
        let path = format!("path = \"{}/", root.to_str().unwrap().replace('\\', "/"));
        fs::write(scratch.join("Cargo.toml"), manifest.replace("path = \"", &path)).unwrap();
        fs::copy(root.join("Cargo.lock"), scratch.join("Cargo.lock")).unwrap();
        scratch
    }

    #[test]
    fn a_new_backend_passes_the_suite() {
        let scratch = scratch("new-backend");
        create(&scratch, "my-npu2").unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = crate::workspace_root().join("target");
        let output = Command::new(cargo)
            .args(["test", "--offline", "--package", "bert-backend-my-npu2", "--target-dir"])
            .arg(target)
            .current_dir(&scratch)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("test every_operation_is_right ... ok"), "{said}");
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let scratch = scratch("new-backend-twice");
        create(&scratch, "abacus").unwrap();
        let file = scratch.join("bert-backend-abacus/src/lib.rs");
        fs::write(&file, "mine").unwrap();
        let manifest = fs::read_to_string(scratch.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("members = [\"bert-backend-abacus\"]"));
        assert!(matches!(create(&scratch, "abacus"), Err(Error::File { action: "create", .. })));
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
        assert_eq!(fs::read_to_string(scratch.join("Cargo.toml")).unwrap(), manifest);
    }

    #[test]
    fn names_that_cannot_be_one_are_told_why() {
        for name in [
            "", "Abacus", "a b", "../x", "a/b", "-a", "a-", "a--b", "1a", "ä", "a\0", "a\n", "auto", "a_b",
            "\"",
        ] {
            assert!(matches!(check(name), Err(Error::BackendName { .. })), "{name:?}");
        }
        assert!(check(&"a".repeat(LONGEST + 1)).is_err());
        for name in ["a", "my-npu2", &"a".repeat(LONGEST)] {
            assert!(check(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_member_is_added_at_the_end() {
        let of = |manifest: &str| {
            let text = with_member(manifest, "x")?;
            Some(text.strip_suffix("\n\n[profile.dev.package.x]\nopt-level = 2\n").unwrap().to_owned())
        };
        assert_eq!(of("[workspace]\nmembers = [\"a\"]\n").unwrap(), "[workspace]\nmembers = [\"a\", \"x\"]");
        assert_eq!(of("\nmembers = [\n  \"a\",\n]\n").unwrap(), "\nmembers = [\n  \"a\", \"x\"]");
        assert_eq!(of("\nmembers = []").unwrap(), "\nmembers = [\"x\"]");
        assert_eq!(of("[workspace]\n"), None);
    }
}
