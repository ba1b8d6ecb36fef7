//! What to load, and how.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One compose file on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileArg {
    /// A path; relative ones are seen from [`LoadOptions::working_directory`].
    Path(PathBuf),
    /// What was read from standard input (`-f -`).
    Stdin(String),
}

/// What to load, and how. Nothing is read from the process: what it knows is handed in here.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `-f`, in order. Empty: `COMPOSE_FILE`, else the default names are searched upward.
    pub files: Vec<FileArg>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--profile`. Empty: `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// `--env-file`. Empty: `COMPOSE_ENV_FILES`, else `.env`.
    pub env_files: Vec<PathBuf>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// The directory the command runs in; absolute.
    pub working_directory: PathBuf,
    /// The variables of the process.
    pub environment: BTreeMap<String, String>,
    /// Only these services and what they depend on. Empty: all.
    pub services: Vec<String>,
    /// Keep networks, volumes, secrets, configs and models that no service uses.
    pub all_resources: bool,
    /// Leave variables alone.
    pub no_interpolate: bool,
    /// Leave out what is implied.
    pub no_normalize: bool,
    /// Leave paths relative.
    pub no_path_resolution: bool,
    /// Leave `env_file`s unread.
    pub no_env_resolution: bool,
    /// Do not look whether everything that is named is there.
    pub no_consistency: bool,
}
