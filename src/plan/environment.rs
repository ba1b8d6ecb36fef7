//! What a program is called with: the service's words where it has them, else its image's.

use crate::model::{ImageConfig, Service};

/// What `PATH` is when neither the image nor the service says, as in Docker.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Program and arguments. A service's own entrypoint does away with the image's arguments too: they
/// were made for another program.
pub(super) fn args(service: &Service, image: &ImageConfig) -> Vec<String> {
    let (entrypoint, default) = match &service.entrypoint {
        Some(own) => (own, &[] as &[String]),
        None => (&image.entrypoint, image.cmd.as_slice()),
    };
    let arguments = service.command.as_deref().unwrap_or(default);
    entrypoint.iter().chain(arguments).cloned().collect()
}

/// The variables: the image's in its order, changed by the service's; then the service's others.
pub(super) fn env(service: &Service, image: &ImageConfig) -> Vec<String> {
    let mut env: Vec<(String, String)> = Vec::new();
    let mut set = |key: &str, value: &str| match env.iter_mut().find(|(k, _)| k == key) {
        Some((_, old)) => value.clone_into(old),
        None => env.push((key.to_owned(), value.to_owned())),
    };
    for line in &image.env {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if service.environment.get(key) != Some(&None) {
            set(key, value);
        }
    }
    for (key, value) in &service.environment {
        if let Some(value) = value {
            set(key, value);
        }
    }
    if service.environment.get("PATH") != Some(&None) && !env.iter().any(|(key, _)| key == "PATH") {
        env.insert(0, ("PATH".to_owned(), PATH.to_owned()));
    }
    if service.tty && !env.iter().any(|(key, _)| key == "TERM") {
        env.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    env.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// The directory the program starts in.
pub(super) fn cwd(service: &Service, image: &ImageConfig) -> String {
    match service.working_dir.as_deref().unwrap_or(&image.working_dir) {
        "" => "/".to_owned(),
        directory => directory.to_owned(),
    }
}
