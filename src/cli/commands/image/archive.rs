//! `orca image load` and `orca image save`.

use std::fs::File;
use std::io::{IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures_util::{Stream, StreamExt as _};

use super::layout;
use crate::api::ClientError;
use crate::api::control::{ArchiveFormat, Chunks, LoadedImage, SaveImages};
use crate::cli::chunks;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::Output;
use crate::cli::progress::Reading;

/// Options of `image load`.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The archive, or the directory of an OCI image layout [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

/// Options of `image save`.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// The archive, or the directory of `oci-dir` [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The form of the archive
    #[arg(long, value_name = "FORMAT", default_value = "docker")]
    format: SaveFormat,
}

/// Forms of archives.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SaveFormat {
    /// As `docker save` writes it
    #[value(alias = "docker-archive")]
    Docker,
    /// An OCI image layout in a tar
    #[value(alias = "oci-archive")]
    Oci,
    /// An OCI image layout as a directory
    OciDir,
}

/// Runs `image load`.
pub(super) async fn load(context: &Context, args: LoadArgs) -> Outcome<u8> {
    let input = args.input.as_deref();
    let output = if args.quiet { context.output.quiet() } else { context.output };
    let images = match input.filter(|path| path.is_file()) {
        Some(path) => load_file(context, output, path).await?,
        None => {
            let archive = read(input)?;
            let client = context.client_or_start().await?;
            client.load_images(archive).await.map_err(|error| unreadable(error, input))?
        }
    };
    if !args.quiet {
        images.iter().try_for_each(|image| context.output.line(loaded(image)))?;
    }
    Ok(0)
}

/// Loads a file, which the daemon reads itself if it can.
async fn load_file(context: &Context, output: Output, path: &Path) -> Outcome<Vec<LoadedImage>> {
    let file = open(path)?;
    let client = context.client_or_start().await?;
    let mut reading = Reading::new(output, path, &file);
    let taken = reading.during(client.load_file(&file)).await?;
    let loaded = match taken {
        Ok(Some(images)) => Ok(images),
        Ok(None) => {
            let chunks = chunks::of(open(path)?);
            client.load_images(chunks).await
        }
        Err(error) => Err(error),
    };
    loaded.map_err(|error| unreadable(error, Some(path)))
}

/// `Loaded image: nginx:1`, as docker says it.
fn loaded(image: &LoadedImage) -> String {
    match image.references.as_slice() {
        [] => format!("Loaded image ID: {}", image.id),
        references => format!("Loaded image: {}", references.join(", ")),
    }
}

/// Names the file in an error about reading it.
pub(crate) fn unreadable(error: ClientError, file: Option<&Path>) -> CommandError {
    match error {
        ClientError::Unreadable(error) => {
            CommandError::io(format!("cannot read {}", name(file)), &error)
        }
        error => error.into(),
    }
}

fn name(file: Option<&Path>) -> String {
    file.map_or("standard input".to_owned(), |file| file.display().to_string())
}

/// The bytes of a file, or of standard input. They are read on a thread that nobody waits for.
pub(crate) fn read(file: Option<&Path>) -> Outcome<Chunks> {
    if let Some(dir) = file.filter(|path| path.is_dir()) {
        return layout::read(dir);
    }
    let source: Box<dyn Read + Send> = match file {
        Some(path) => Box::new(open(path)?),
        None if std::io::stdin().is_terminal() => {
            return Err(CommandError::bad_input("standard input is a terminal, not an archive")
                .with_hint("name a file, or send one with `<` or `|`"));
        }
        None => Box::new(std::io::stdin()),
    };
    Ok(chunks::of(source))
}

fn open(path: &Path) -> Outcome<File> {
    File::open(path).map_err(|error| {
        CommandError::bad_input(format!("cannot read {}: {error}", path.display()))
    })
}

/// Runs `image save`.
pub(super) async fn save(context: &Context, args: SaveArgs) -> Outcome<u8> {
    let format = match args.format {
        SaveFormat::Docker => ArchiveFormat::Docker,
        SaveFormat::Oci | SaveFormat::OciDir => ArchiveFormat::Oci,
    };
    let directory = match (args.format, &args.output) {
        (SaveFormat::OciDir, None) => {
            return Err(CommandError::bad_input("a layout is a directory: name it with -o"));
        }
        (SaveFormat::OciDir, Some(path)) => Some(layout::Directory::new(path)?),
        _ => None,
    };
    if directory.is_none() {
        writable(args.output.as_deref())?;
    }
    let client = context.client().await?;
    let chunks = client.save_images(SaveImages { references: args.images, format }).await?;
    match directory {
        Some(directory) => directory.fill(chunks).await?,
        None => write_to(args.output.as_deref(), chunks).await?,
    }
    Ok(0)
}

/// Refuses to write an archive to a terminal.
pub(crate) fn writable(file: Option<&Path>) -> Outcome {
    if file.is_none() && std::io::stdout().is_terminal() {
        return Err(CommandError::bad_input("an archive is not written to a terminal")
            .with_hint("name a file with -o, or send it on with `>` or `|`"));
    }
    Ok(())
}

/// Writes an archive to a file, or to standard output.
pub(crate) async fn write_to(
    file: Option<&Path>,
    chunks: impl Stream<Item = Result<Vec<u8>, ClientError>> + Unpin,
) -> Outcome {
    match file {
        Some(path) => save_to_file(path, chunks).await,
        None => write(&mut std::io::stdout(), chunks).await,
    }
}

/// Writes beside the file and renames at the end: half an archive never has the name of a whole one.
async fn save_to_file(
    path: &Path,
    chunks: impl Stream<Item = Result<Vec<u8>, ClientError>> + Unpin,
) -> Outcome {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let cannot = |error: &std::io::Error| {
        CommandError::io(format!("cannot write {}", path.display()), error)
    };
    let mut file = File::create(&beside).map_err(|error| cannot(&error))?;
    let written = match write(&mut file, chunks).await {
        Ok(()) => std::fs::rename(&beside, path).map_err(|error| cannot(&error)),
        Err(error) => Err(error),
    };
    if written.is_err() {
        // What is left of it says by its name that it is not whole.
        let _left = std::fs::remove_file(&beside).is_err();
    }
    written
}

async fn write(
    to: &mut impl Write,
    mut chunks: impl Stream<Item = Result<Vec<u8>, ClientError>> + Unpin,
) -> Outcome {
    while let Some(chunk) = chunks.next().await {
        to.write_all(&chunk?)
            .map_err(|error| CommandError::io("cannot write the archive", &error))?;
    }
    to.flush().map_err(|error| CommandError::io("cannot write the archive", &error))
}
