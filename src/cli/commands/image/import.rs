//! `orca image import`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::archive;
use crate::api::control::ImportImage;
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::model::ImageConfig;

/// Options of `image import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The tar, plain or compressed; `-` is standard input
    file: PathBuf,

    /// The name of the image [default: none, it has its id alone]
    #[arg(default_value = "", hide_default_value = true)]
    reference: String,

    /// What the image says of the process to run, as in a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE,
    /// LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR; can be given more than once
    #[arg(short, long, value_name = "INSTRUCTION", value_parser = Change::new)]
    change: Vec<Change>,

    /// A line for the image's history
    #[arg(short, long)]
    message: Option<String>,

    /// What the files are for, such as linux/arm64 [default: this host]
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<String>,
}

/// Runs `image import`.
pub(super) async fn run(context: &Context, args: ImportArgs) -> Outcome<u8> {
    let mut config = ImageConfig::default();
    args.change.into_iter().for_each(|change| change.apply(&mut config));
    let file = (args.file != Path::new("-")).then_some(args.file.as_path());
    let archive = archive::read(file)?;
    let import = ImportImage {
        reference: args.reference,
        config,
        platform: args.platform,
        message: args.message,
    };
    let client = context.client_or_start().await?;
    let images = client.import_image(import, archive).await;
    for image in images.map_err(|error| archive::unreadable(error, file))? {
        context.output.line(&image.id)?;
    }
    Ok(0)
}

/// One instruction of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Cmd(Vec<String>),
    Entrypoint(Vec<String>),
    Env(Vec<(String, String)>),
    Expose(Vec<String>),
    Label(Vec<(String, String)>),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    WorkingDir(String),
}

impl Change {
    fn new(text: &str) -> Result<Self, String> {
        let (instruction, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(format!("`{text}` is not an instruction such as `CMD [\"/bin/sh\"]`"));
        }
        let words = || rest.split_whitespace().map(str::to_owned).collect();
        match instruction.to_ascii_uppercase().as_str() {
            "CMD" => Ok(Self::Cmd(command(rest)?)),
            "ENTRYPOINT" => Ok(Self::Entrypoint(command(rest)?)),
            "ENV" => Ok(Self::Env(pairs(rest)?)),
            "EXPOSE" => Ok(Self::Expose(words())),
            "LABEL" => Ok(Self::Label(pairs(rest)?)),
            "STOPSIGNAL" => Ok(Self::StopSignal(rest.to_owned())),
            "USER" => Ok(Self::User(rest.to_owned())),
            "VOLUME" if rest.starts_with('[') => Ok(Self::Volume(json(rest)?)),
            "VOLUME" => Ok(Self::Volume(words())),
            "WORKDIR" => Ok(Self::WorkingDir(rest.to_owned())),
            unknown => Err(format!("`{unknown}` is not an instruction that an import can follow")),
        }
    }

    fn apply(self, config: &mut ImageConfig) {
        match self {
            Self::Cmd(args) => config.cmd = args,
            Self::Entrypoint(args) => config.entrypoint = args,
            Self::Env(pairs) => {
                for (key, value) in pairs {
                    config.env.retain(|entry| !entry.starts_with(&format!("{key}=")));
                    config.env.push(format!("{key}={value}"));
                }
            }
            Self::Expose(ports) => {
                let port = |port: String| if port.contains('/') { port } else { port + "/tcp" };
                config.exposed_ports.extend(ports.into_iter().map(port));
            }
            Self::Label(pairs) => config.labels.extend(pairs),
            Self::StopSignal(signal) => config.stop_signal = signal,
            Self::User(user) => config.user = user,
            Self::Volume(paths) => config.volumes.extend(paths),
            Self::WorkingDir(path) => config.working_dir = path,
        }
    }
}

/// A JSON list, or a line for the shell.
fn command(text: &str) -> Result<Vec<String>, String> {
    if text.starts_with('[') {
        return json(text);
    }
    Ok(["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}

fn json(text: &str) -> Result<Vec<String>, String> {
    serde_json::from_str(text).map_err(|error| format!("`{text}` is not a list of texts: {error}"))
}

/// `A=1 B="two words"`, or `A two words`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{word}` is not of the form NAME=VALUE")),
    };
    words(text)?.into_iter().map(pair).collect()
}

/// Words as a shell divides them: by blanks outside of quotes.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(format!("`{text}` has a quote without an end"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(changes: &[&str]) -> ImageConfig {
        let mut config = ImageConfig::default();
        for change in changes {
            Change::new(change).unwrap().apply(&mut config);
        }
        config
    }

    #[test]
    fn instructions_become_the_configuration() {
        let config = applied(&[
            "CMD [\"a\", \"b c\"]",
            "entrypoint /run me",
            "ENV A=1 B=\"two words\"",
            "ENV A=3",
            "EXPOSE 80 53/udp",
            "LABEL x=y",
            "STOPSIGNAL SIGINT",
            "USER app:app",
            "VOLUME [\"/data\"]",
            "WORKDIR /srv",
        ]);
        assert_eq!(config.cmd, ["a", "b c"]);
        assert_eq!(config.entrypoint, ["/bin/sh", "-c", "/run me"]);
        assert_eq!(config.env, ["B=two words", "A=3"]);
        assert_eq!(config.exposed_ports, ["80/tcp", "53/udp"]);
        assert_eq!(config.labels["x"], "y");
        assert_eq!((config.stop_signal.as_str(), config.user.as_str()), ("SIGINT", "app:app"));
        assert_eq!(
            (config.volumes, config.working_dir.as_str()),
            (vec!["/data".to_owned()], "/srv")
        );
    }

    #[test]
    fn the_old_form_of_env_takes_the_rest_of_the_line() {
        assert_eq!(applied(&["ENV A two words"]).env, ["A=two words"]);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for change in ["RUN ls", "CMD", "CMD [1]", "ENV A=1 B", "ENV A=\"x", ""] {
            assert!(Change::new(change).is_err(), "{change}");
        }
    }
}
