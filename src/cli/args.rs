//! The options that many commands share, and where they may stand.
//!
//! Those of the instance may stand anywhere. Those of the project stand before the verb, as docker
//! compose wants them, or after it; files and profiles of both places are put together. `logs -f`
//! means follow, so after `logs` a file is `--file`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::model::Instance;

/// Which orca, and how it speaks.
#[derive(Debug, Clone, Args)]
pub(crate) struct InstanceArgs {
    /// Where images, volumes and state are kept
    #[arg(
        long, global = true, value_name = "DIR", env = "ORCA_ROOT",
        default_value = Instance::DEFAULT_ROOT, help_heading = "Global options"
    )]
    pub(crate) root: PathBuf,

    /// Where sockets and other things of this boot are
    #[arg(
        long, global = true, value_name = "DIR", env = "ORCA_RUN",
        default_value = Instance::DEFAULT_RUN, help_heading = "Global options"
    )]
    pub(crate) run: PathBuf,

    /// When to use colours and to redraw lines
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        env = "COMPOSE_ANSI",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) ansi: Ansi,

    /// The same as --ansi never
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_color: bool,

    /// How to show progress
    #[arg(
        long,
        global = true,
        value_name = "KIND",
        env = "COMPOSE_PROGRESS",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) progress: ProgressKind,
}

impl InstanceArgs {
    /// The instance, at absolute places: a daemon has another working directory.
    pub(crate) fn instance(&self) -> std::io::Result<Instance> {
        let root = std::path::absolute(&self.root)?;
        let run = std::path::absolute(&self.run)?;
        Ok(Instance { root, run })
    }
}

/// When to use colours and to redraw lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ansi {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Never
    Never,
    /// Always
    Always,
}

/// How to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// A live table on a terminal, else lines
    Auto,
    /// A live table
    Tty,
    /// Lines
    Plain,
    /// Nothing
    Quiet,
}

/// Which project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct ProjectArgs {
    /// Compose file, `-` for standard input; can be given more than once
    /// [default: compose.yaml here or above]
    #[arg(short, long, value_name = "FILE", help_heading = "Project options")]
    pub(crate) file: Vec<PathBuf>,

    /// Project name
    #[arg(short, long, value_name = "NAME", help_heading = "Project options")]
    pub(crate) project_name: Option<String>,

    /// A profile to switch on; can be given more than once
    #[arg(long, value_name = "NAME", help_heading = "Project options")]
    pub(crate) profile: Vec<String>,

    /// File with variables, instead of .env; can be given more than once
    #[arg(long, value_name = "FILE", help_heading = "Project options")]
    pub(crate) env_file: Vec<PathBuf>,

    /// Where relative paths begin [default: where the first compose file is]
    #[arg(long, value_name = "DIR", help_heading = "Project options")]
    pub(crate) project_directory: Option<PathBuf>,

    /// Keep networks, volumes, secrets and configs that no service uses
    #[arg(long, help_heading = "Project options")]
    pub(crate) all_resources: bool,

    /// Refused: names as docker-compose of version 1 made them, with `_`
    #[arg(long, hide = true)]
    pub(crate) compatibility: bool,

    /// No effect, with a warning: the daemon decides what is done at once
    #[arg(long, value_name = "NUMBER", hide = true, allow_negative_numbers = true)]
    pub(crate) parallel: Option<i64>,
}

impl ProjectArgs {
    /// What stood before the verb and what stood after it.
    #[must_use]
    pub(crate) fn then(mut self, after: Self) -> Self {
        self.file.extend(after.file);
        self.profile.extend(after.profile);
        self.env_file.extend(after.env_file);
        self.project_name = after.project_name.or(self.project_name);
        self.project_directory = after.project_directory.or(self.project_directory);
        self.all_resources |= after.all_resources;
        self.compatibility |= after.compatibility;
        self.parallel = after.parallel.or(self.parallel);
        self
    }
}
