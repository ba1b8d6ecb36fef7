//! From the command line to the project: where the `compose` room is asked.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::{BAD_INPUT, CommandError, Outcome};
use crate::compose::{Diagnostic, Errors, FileArg, LoadOptions, Loaded, load};
use crate::model::Project;

/// The largest project that is read from standard input, in bytes.
const LARGEST_INPUT: u64 = 16 << 20;

/// The project, with its warnings told.
///
/// # Errors
/// Everything that is wrong with the files is told at once.
pub(super) fn project(context: &Context) -> Outcome<Project> {
    of_services(context, Vec::new())
}

/// The project with only these services and what they depend on, whatever their profiles.
///
/// # Errors
/// Everything that is wrong with the files is told at once.
pub(super) fn of_services(context: &Context, services: Vec<String>) -> Outcome<Project> {
    let loaded = loaded(context, LoadOptions { services, ..options(context)? })?;
    for warning in &loaded.warnings {
        context.output.warning(warning);
    }
    refuse(context, &loaded.refusals)?;
    Ok(loaded.project)
}

/// What a load gives, with all errors told.
pub(super) fn loaded(context: &Context, options: LoadOptions) -> Outcome<Loaded> {
    load(&options).map_err(|errors| told(context, &errors))
}

/// Tells all that is wrong; the error that is left to return says nothing more.
pub(super) fn told(context: &Context, errors: &Errors) -> CommandError {
    for error in &errors.0 {
        context.output.complaint(error);
    }
    CommandError::silent(BAD_INPUT)
}

/// What would mean something else here than it says is not started.
fn refuse(context: &Context, refusals: &[Diagnostic]) -> Outcome {
    if refusals.is_empty() {
        return Ok(());
    }
    for refusal in refusals {
        context.output.complaint(refusal);
    }
    Err(CommandError::silent(BAD_INPUT))
}

/// The name of the stack that is meant: `-p`, `COMPOSE_PROJECT_NAME`, or that of the files.
///
/// # Errors
/// If there is neither a name nor a file.
pub(super) fn name(context: &Context) -> Outcome<String> {
    if let Some(name) = &context.project.project_name {
        return Ok(name.clone());
    }
    match std::env::var("COMPOSE_PROJECT_NAME") {
        Ok(name) if !name.is_empty() && context.project.file.is_empty() => return Ok(name),
        _ => {}
    }
    // The name is all that is wanted: whether the rest of the file makes sense matters to `up`.
    let options =
        LoadOptions { no_consistency: true, no_env_resolution: true, ..options(context)? };
    match load(&options) {
        Ok(loaded) => Ok(loaded.project.name),
        Err(errors) => {
            let error = told(context, &errors);
            // Nothing is wrong in a file: there is none.
            if errors.0.iter().all(|error| error.place.is_none()) {
                context.output.note(" hint: with -p a stack can be named without a file");
            }
            Err(error)
        }
    }
}

/// How the options of the command line are loaded.
pub(super) fn options(context: &Context) -> Outcome<LoadOptions> {
    let args = &context.project;
    if args.compatibility {
        return Err(CommandError::bad_input(
            "--compatibility: orca names containers as docker compose does since version 2, \
             `stack-service-1`, and not as version 1 did",
        ));
    }
    if args.parallel.is_some_and(|number| number >= 0) {
        context.output.warning("--parallel has no effect: the daemon decides what is done at once");
    }
    let mut files = Vec::new();
    for file in &args.file {
        files.push(file_arg(file, &files)?);
    }
    let working_directory = std::env::current_dir()
        .map_err(|error| CommandError::io("cannot find the working directory", &error))?;
    Ok(LoadOptions {
        files,
        project_name: args.project_name.clone(),
        profiles: args.profile.clone(),
        env_files: args.env_file.clone(),
        project_directory: args.project_directory.clone(),
        working_directory,
        all_resources: args.all_resources,
        // Names and values that are not UTF-8 cannot be written in a compose file either.
        environment: std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        ..LoadOptions::default()
    })
}

fn file_arg(file: &Path, before: &[FileArg]) -> Outcome<FileArg> {
    if file != Path::new("-") {
        return Ok(FileArg::Path(PathBuf::from(file)));
    }
    if before.iter().any(|file| matches!(file, FileArg::Stdin(_))) {
        return Err(CommandError::bad_input("standard input can be read only once"));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(LARGEST_INPUT + 1).read_to_end(&mut bytes);
    read.map_err(|error| CommandError::io("cannot read standard input", &error))?;
    if bytes.len() as u64 > LARGEST_INPUT {
        return Err(CommandError::bad_input("standard input: the file is larger than 16 MiB"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| CommandError::bad_input("standard input: the file is not UTF-8"))?;
    Ok(FileArg::Stdin(text))
}
