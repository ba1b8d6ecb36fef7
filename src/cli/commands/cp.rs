//! `orca cp`: copies files between containers and here.

use std::fs::File;
use std::io::{self, IsTerminal as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::{Stream, StreamExt as _};

use crate::api::control::{Chunks, CopyFound, CopyIn, CopyOut, CopySource};
use crate::api::{Client, ClientError, Target};
use crate::cli::chunks;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::copy::{self, Owner, Place, Unpack};
use crate::model::{TaskState, TaskStatus};

/// Options of `cp`.
#[derive(Debug, Args)]
pub(crate) struct CpArgs {
    /// What to copy: SERVICE:PATH, a path here, or `-` for a tar archive on standard input
    source: String,

    /// Where to: SERVICE:PATH, a path here, or `-` for a tar archive on standard output
    target: String,

    /// Keep the numbers of users and groups
    #[arg(short, long)]
    archive: bool,

    /// Copy what the source leads to, if it is a link
    #[arg(short = 'L', long)]
    follow_link: bool,

    /// The container with this number [default: the first out of which, all into which]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    index: Option<u32>,

    /// Also containers that `run` has made from the service
    #[arg(long)]
    all: bool,
}

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum End<'a> {
    Container(&'a str, &'a str),
    Here(&'a str),
    Stream,
}

impl<'a> End<'a> {
    /// A path here that has a colon begins with `/` or `.`.
    fn of(text: &'a str) -> Self {
        match text.split_once(':') {
            _ if text == "-" => Self::Stream,
            Some((service, path)) if !service.is_empty() && !text.starts_with(['/', '.']) => {
                Self::Container(service, path)
            }
            _ => Self::Here(text),
        }
    }
}

/// Runs `cp`.
pub(crate) async fn run(context: &Context, args: CpArgs) -> Outcome<u8> {
    match (End::of(&args.source), End::of(&args.target)) {
        (End::Container(..), End::Container(..)) => {
            Err(CommandError::bad_input("cannot copy from one container to another")
                .with_hint("copy to a directory here first, or use `-` on both sides of a pipe"))
        }
        (End::Container(service, path), target) => {
            out(context, &args, (service, path), &target).await
        }
        (source, End::Container(service, path)) => {
            into(context, &args, &source, (service, path)).await
        }
        _ => Err(CommandError::bad_input("neither the source nor the target is in a container")
            .with_hint("a path in a container is written SERVICE:PATH")),
    }
}

/// The containers of a service that there are, by name: those that run first.
async fn containers(
    context: &Context,
    client: &Client,
    args: &CpArgs,
    service: &str,
) -> Outcome<Vec<Target>> {
    let stack = context.stack()?;
    let report = client.stack(&stack).await?;
    let named = |task: &&TaskStatus| {
        let own = task.service == service || task.name == service;
        let beside = args.all && task.one_off.as_deref() == Some(service);
        let index = args.index.is_none_or(|index| index == task.slot);
        (own || beside) && index && task.container.is_some()
    };
    let mut tasks: Vec<_> = report.status.tasks.iter().filter(named).collect();
    tasks.sort_by_key(|task| task.state != TaskState::Running);
    if tasks.is_empty() {
        let message = format!("there is no container of `{service}`");
        return Err(CommandError::failed(message).with_hint("`orca ps -a` shows what is there"));
    }
    let target = |task: &TaskStatus| {
        // By its id: the name may also be another service's.
        let id = task.container.as_ref().map(ToString::to_string).unwrap_or_default();
        Target { stack: stack.clone(), names: vec![id], index: None }
    };
    Ok(tasks.into_iter().map(target).collect())
}

async fn out(
    context: &Context,
    args: &CpArgs,
    (service, path): (&str, &str),
    target: &End<'_>,
) -> Outcome<u8> {
    if *target == End::Stream && io::stdout().is_terminal() {
        return Err(CommandError::bad_input("an archive is not written to a terminal")
            .with_hint("send it on with `>` or `|`"));
    }
    let client = context.client().await?;
    let from = containers(context, &client, args, service).await?.swap_remove(0);
    let copy = CopyOut { path: path.to_owned(), follow: args.follow_link };
    let (found, mut chunks) = client.copy_out(from, copy).await?;
    let End::Here(to) = target else {
        while let Some(chunk) = chunks.next().await {
            context.output.bytes(&chunk?)?;
        }
        return Ok(0);
    };
    let how = destination(Path::new(to), &found, path.ends_with("/."), args.archive)?;
    unpack(how, chunks).await?;
    Ok(0)
}

/// Where what is copied out goes, by docker's rules: the directory to be in, and how to unpack there.
fn destination(
    to: &Path,
    found: &CopyFound,
    contents: bool,
    archive: bool,
) -> Outcome<(PathBuf, Unpack)> {
    let shown = to.display();
    let wrong = |why: String| Err(CommandError::failed(why));
    let is_directory = to.is_dir();
    let says_directory = to.as_os_str().as_encoded_bytes().ends_with(b"/");
    let owner = if archive { Owner::Kept } else { Owner::Maker };
    let how = |rename| Unpack { at: PathBuf::new(), rename, owner, special: archive };
    if is_directory {
        return Ok((to.to_owned(), how(None)));
    }
    if to.exists() && (found.directory || says_directory) {
        return wrong(format!("{shown} is not a directory"));
    }
    if says_directory && !found.directory {
        return wrong(format!("there is no directory {shown}"));
    }
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return wrong(format!("there is no directory {}", parent.display()));
    }
    if contents && found.directory {
        // Its entries have no common first directory to give a name to.
        std::fs::create_dir(to)
            .map_err(|error| CommandError::io(format!("cannot make {shown}"), &error))?;
        return Ok((to.to_owned(), how(None)));
    }
    match to.file_name() {
        Some(name) => Ok((parent.to_owned(), how(Some(PathBuf::from(name))))),
        None => wrong(format!("{shown} has no name")),
    }
}

/// Unpacks a stream. The files are made on a thread of their own, fed by a pipe.
async fn unpack(
    (directory, how): (PathBuf, Unpack),
    mut chunks: impl Stream<Item = Result<Vec<u8>, ClientError>> + Unpin,
) -> Outcome {
    let cannot = |error: &io::Error| CommandError::io("cannot unpack", error);
    let (reader, mut writer) = io::pipe().map_err(|error| cannot(&error))?;
    let unpacking = tokio::task::spawn_blocking(move || {
        let place = Place::directory(&directory)?;
        copy::unpack(&place, &how, reader)
    });
    let mut broken = None;
    while let Some(chunk) = chunks.next().await {
        match chunk {
            // Its reader may have ended early, and says why.
            Ok(chunk) => {
                if writer.write_all(&chunk).is_err() {
                    break;
                }
            }
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    drop(writer);
    let unpacked = unpacking.await;
    if let Some(error) = broken {
        return Err(error.into());
    }
    match unpacked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(CommandError::failed(error.to_string())),
        Err(error) => Err(CommandError::failed(format!("cannot unpack: {error}"))),
    }
}

async fn into(
    context: &Context,
    args: &CpArgs,
    source: &End<'_>,
    (service, path): (&str, &str),
) -> Outcome<u8> {
    let client = context.client().await?;
    let targets = containers(context, &client, args, service).await?;
    let mut archive = match source {
        End::Here(from) => Source::files(from, args.follow_link)?,
        _ => Source::stream(targets.len() > 1)?,
    };
    for target in targets {
        let copy = CopyIn { path: path.to_owned(), source: archive.kind, archive: args.archive };
        let sent = client.copy_in(target, copy, archive.chunks()?).await;
        sent.map_err(|error| match error {
            ClientError::Unreadable(error) => {
                CommandError::io("cannot read what is to be copied", &error)
            }
            error => error.into(),
        })?;
    }
    Ok(0)
}

/// What is copied into containers; it can be read once for each.
struct Source {
    kind: CopySource,
    from: From,
}

enum From {
    /// What is at a path of a directory, and the name it has in the archive.
    Files { directory: PathBuf, path: PathBuf, name: PathBuf, follow: bool },
    /// Standard input.
    Stdin,
    /// What standard input said.
    Kept(File),
}

impl Source {
    fn files(text: &str, follow: bool) -> Outcome<Self> {
        let path = Path::new(text);
        let shown = path.display();
        let cannot =
            |error: io::Error| CommandError::bad_input(format!("cannot copy {shown}: {error}"));
        let metadata = if follow || text.ends_with('/') || text.ends_with("/.") {
            std::fs::metadata(path)
        } else {
            std::fs::symlink_metadata(path)
        };
        let is_directory = metadata.map_err(cannot)?.is_dir();
        let kind = match (is_directory, text.ends_with("/.") || text == ".") {
            (true, true) => CopySource::Content,
            (true, false) => CopySource::Directory,
            (false, _) => CopySource::File,
        };
        if is_directory {
            // A directory is its own limit: links in it are copied as they are.
            let whole = std::fs::canonicalize(path).map_err(cannot)?;
            let name = whole.file_name().map_or_else(|| PathBuf::from("root"), PathBuf::from);
            let path = PathBuf::from(".");
            return Ok(Self { kind, from: From::Files { directory: whole, path, name, follow } });
        }
        let real = if follow { std::fs::canonicalize(path).map_err(cannot)? } else { path.into() };
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        let directory = match real.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let file = PathBuf::from(real.file_name().unwrap_or_default());
        Ok(Self { kind, from: From::Files { directory, path: file, name, follow: false } })
    }

    /// Standard input; what is to be read more than once is kept in a file without a name.
    fn stream(again: bool) -> Outcome<Self> {
        if io::stdin().is_terminal() {
            return Err(CommandError::bad_input("standard input is a terminal, not an archive")
                .with_hint("send one with `<` or `|`"));
        }
        let kind = CopySource::Archive;
        if !again {
            return Ok(Self { kind, from: From::Stdin });
        }
        let keep = || -> io::Result<File> {
            use std::os::unix::fs::OpenOptionsExt as _;
            let unnamed = rustix::fs::OFlags::TMPFILE.bits().cast_signed();
            let mut options = File::options();
            options.read(true).write(true).custom_flags(unnamed);
            let mut file = options.open(std::env::temp_dir())?;
            io::copy(&mut io::stdin(), &mut file)?;
            Ok(file)
        };
        let file = keep().map_err(|error| CommandError::io("cannot keep the archive", &error))?;
        Ok(Self { kind, from: From::Kept(file) })
    }

    /// The archive, made on a thread that nobody waits for.
    fn chunks(&mut self) -> Outcome<Chunks> {
        Ok(match &mut self.from {
            From::Files { directory, path, name, follow } => {
                let place = Place::directory(directory)
                    .map_err(|error| CommandError::bad_input(error.to_string()))?;
                let (path, name, follow) = (path.clone(), name.clone(), *follow);
                chunks::packed(move |out| {
                    copy::pack(&place, &path, follow, &name, out).map_err(io::Error::other)
                })
            }
            From::Stdin => chunks::of(io::stdin()),
            From::Kept(file) => {
                let again = file.rewind().and_then(|()| file.try_clone());
                let again =
                    again.map_err(|error| CommandError::io("cannot read it again", &error))?;
                chunks::of(again)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_in_a_container_if_it_has_a_colon_and_no_path_before_it() {
        assert_eq!(End::of("web:/etc"), End::Container("web", "/etc"));
        assert_eq!(End::of("web:etc"), End::Container("web", "etc"));
        assert_eq!(End::of("./a:b"), End::Here("./a:b"));
        assert_eq!(End::of("/a:b"), End::Here("/a:b"));
        assert_eq!(End::of("file"), End::Here("file"));
        assert_eq!(End::of("-"), End::Stream);
    }
}
