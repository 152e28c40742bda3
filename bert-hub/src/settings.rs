//! Where the hub and the cache are: plain values, which the environment can fill.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs, io};

use crate::HubError;

/// Where models come from and where they are kept.
///
/// ```
/// use bert_hub::Settings;
///
/// let mut settings = Settings::new("/srv/models/hub");
/// settings.offline = true;
/// assert_eq!(settings.endpoint, "https://huggingface.co");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The cache folder, which holds `models--owner--name`. It need not exist yet.
    pub cache: PathBuf,
    /// The address of the hub.
    pub endpoint: String,
    /// The access token for private and gated models; only ever sent to `endpoint`.
    pub token: Option<Token>,
    /// Never use the network.
    pub offline: bool,
    /// Link the files of a snapshot to the cache's `blobs`; otherwise, and wherever a link cannot be made,
    /// the snapshot holds the files themselves.
    pub symlinks: bool,
    /// Obey `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the process.
    pub env_proxy: bool,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a connection may be silent.
    pub silence_timeout: Duration,
    /// How often a cut transfer is taken up again. Each MiB that arrives sets the count back.
    pub retries: u32,
    /// The pause before the first retry; it doubles with each.
    pub backoff: Duration,
}

impl Settings {
    /// The public hub, no token, and the given cache folder (which is what `HF_HUB_CACHE` names).
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            endpoint: "https://huggingface.co".to_owned(),
            token: None,
            offline: false,
            symlinks: true,
            env_proxy: false,
            connect_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(30),
            retries: 4,
            backoff: Duration::from_millis(300),
        }
    }

    /// The settings that Python's `huggingface_hub` takes from the same environment: `HF_HUB_CACHE`,
    /// `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` (else the file at `HF_TOKEN_PATH`, else `token` in `HF_HOME`),
    /// `HF_HUB_OFFLINE`, `HF_HUB_DISABLE_SYMLINKS`, and the proxy variables.
    ///
    /// # Errors
    /// [`HubError::NoCacheFolder`] without any home folder, and [`HubError::Read`] for a token file that
    /// exists and cannot be read.
    pub fn from_env() -> Result<Self, HubError> {
        Ok(Self { env_proxy: true, ..Self::from_vars(|name| env::var_os(name))? })
    }

    /// As [`from_env`](Self::from_env), from any source of variables.
    fn from_vars(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let var = |name| lookup(name).filter(|value| !value.is_empty());
        // What is not UTF-8 stays wrong, and is reported where it is used.
        let text = |name| var(name).map(|value| value.to_string_lossy().into_owned());
        let flag = |name| text(name).is_some_and(|value| is_true(&value));
        let user = var("HOME").or_else(|| var("USERPROFILE")).map(PathBuf::from);
        let path = |name| var(name).map(|value| expand_home(PathBuf::from(value), user.as_deref()));

        let home = path("HF_HOME").or_else(|| {
            let caches = path("XDG_CACHE_HOME").or_else(|| user.as_ref().map(|user| user.join(".cache")));
            caches.map(|caches| caches.join("huggingface"))
        });
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| home.as_ref().map(|home| home.join("hub")))
            .ok_or(HubError::NoCacheFolder)?;

        let mut settings = Self::new(cache);
        if let Some(endpoint) = text("HF_ENDPOINT") {
            settings.endpoint = endpoint;
        }
        settings.offline = flag("HF_HUB_OFFLINE") || flag("TRANSFORMERS_OFFLINE");
        settings.symlinks = !flag("HF_HUB_DISABLE_SYMLINKS");
        settings.token = match text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")) {
            Some(token) => Token::new(&token),
            None => match path("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token"))) {
                Some(file) => read_token(&file)?,
                None => None,
            },
        };
        Ok(settings)
    }
}

/// An access token. Its value is sent to the hub and printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token without the white space around it; `None` if nothing is left.
    pub fn new(token: &str) -> Option<Self> {
        let token = token.trim();
        (!token.is_empty()).then(|| Self(token.to_owned()))
    }

    /// The value of the `Authorization` header; `None` if no header can carry the token.
    pub(crate) fn bearer(&self) -> Option<String> {
        self.0.bytes().all(|byte| byte.is_ascii_graphic()).then(|| format!("Bearer {}", self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn expand_home(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

fn read_token(file: &Path) -> Result<Option<Token>, HubError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Token::new(&text)),
        Err(source) if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(HubError::Read { path: file.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Result<Settings, HubError> {
        Settings::from_vars(|name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_cache_folder_is_where_python_keeps_it() {
        let cache = |vars: &[(&str, &str)]| settings(vars).unwrap().cache;
        assert_eq!(cache(&[("HOME", "/u")]), Path::new("/u/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/u"), ("HF_HOME", "~/hf")]), Path::new("/u/hf/hub"));
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "")]), Path::new("/hf/hub"));
        assert!(matches!(settings(&[]), Err(HubError::NoCacheFolder)));
    }

    #[test]
    fn flags_are_the_words_that_python_takes_for_true() {
        for (value, offline) in
            [("1", true), ("true", true), ("ON", true), ("0", false), ("no", false), ("", false)]
        {
            assert_eq!(
                settings(&[("HOME", "/u"), ("HF_HUB_OFFLINE", value)]).unwrap().offline,
                offline,
                "{value}"
            );
        }
        assert!(!settings(&[("HOME", "/u"), ("HF_HUB_DISABLE_SYMLINKS", "1")]).unwrap().symlinks);
    }

    #[test]
    fn the_token_comes_from_the_variable_or_else_from_the_file() {
        let home = tempfile::tempdir().unwrap();
        let hf_home = ("HF_HOME", home.path().to_str().unwrap());
        assert_eq!(settings(&[hf_home]).unwrap().token, None);
        fs::write(home.path().join("token"), " hf_file\n").unwrap();
        assert_eq!(settings(&[hf_home]).unwrap().token, Token::new("hf_file"));
        assert_eq!(settings(&[hf_home, ("HF_TOKEN", "hf_var")]).unwrap().token, Token::new("hf_var"));
        fs::write(home.path().join("token"), [0xff, 0xfe]).unwrap();
        assert!(matches!(settings(&[hf_home]), Err(HubError::Read { .. })));
        assert!(settings(&[("HF_HOME", "/dev/null/x")]).unwrap().token.is_none());
    }

    #[test]
    fn a_token_is_never_printed() {
        let mut settings = Settings::new("c");
        settings.token = Token::new("hf_secret");
        assert!(!format!("{settings:?}").contains("hf_secret"));
    }
}
