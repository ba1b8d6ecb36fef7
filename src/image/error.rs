//! What can go wrong with images, in sentences for a person.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::Digest;

/// Why something could not be done with an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The host would not.
    #[error("cannot {doing}")]
    Io {
        /// What was tried, with which file: `open /var/lib/orca/images/index.json`.
        doing: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A text that names no image.
    #[error("`{reference}` is not an image reference: {reason}")]
    BadReference {
        /// The text.
        reference: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No such image here.
    #[error(
        "image `{0}` is not on this host; bring it with `orca image pull {0}`, or from a file with \
         `orca image load -i FILE`"
    )]
    NotFound(String),
    /// A short id that several images share.
    #[error("`{0}` is the beginning of more than one image id; give more digits")]
    Ambiguous(String),
    /// An archive or a layer that is not as it should be.
    #[error("{what}: {reason}")]
    Bad {
        /// The archive, layer or file in it.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// Content that is not what its digest says.
    #[error("{what} is damaged: its digest is {found}, but {wanted} was expected; fetch it again")]
    WrongDigest {
        /// The blob or layer.
        what: String,
        /// The digest of what came.
        found: Digest,
        /// The digest asked for.
        wanted: Digest,
    },
    /// An image for another kind of machine.
    #[error("image `{image}` is for {found}, but this host is {host}; use an image for {host}")]
    Platform {
        /// The image.
        image: String,
        /// What the image is for.
        found: String,
        /// What the host is.
        host: String,
    },
    /// An image that is not there for the platform asked for.
    #[error("image `{image}` is not there for {wanted}, but for: {found}")]
    OtherPlatform {
        /// The image.
        image: String,
        /// What it is there for.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// No such image here, and it must not be fetched.
    #[error("image `{0}` is not on this host, and its pull policy is `never`")]
    NotPulled(String),
    /// The administrator does not accept the image.
    #[error("image `{image}` is refused by {policy}: {reason}")]
    Refused {
        /// The image.
        image: String,
        /// The file that says so.
        policy: String,
        /// Why.
        reason: String,
    },
    /// Something is larger than orca accepts.
    #[error("{what} is larger than the limit: {limit}")]
    TooLarge {
        /// What.
        what: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// The image has more names than the one that is to go.
    #[error("image `{reference}` has other names ({others}); remove them first, or force it")]
    OtherNames {
        /// The id given.
        reference: String,
        /// Its names.
        others: String,
    },
    /// Containers use the image.
    #[error("image `{reference}` is used by container {container}; remove the container first")]
    InUse {
        /// The image.
        reference: String,
        /// One of the containers.
        container: String,
    },
    /// A registry would not, or cannot be reached.
    #[error("cannot {doing}: {reason}")]
    Registry {
        /// What was tried.
        doing: String,
        /// What the registry said, or what happened.
        reason: String,
    },
}

pub(crate) type Result<T> = std::result::Result<T, ImageError>;

/// Says what was tried when the host would not.
pub(crate) trait Doing<T> {
    /// `verb` and the file it was about.
    fn doing(self, verb: &str, file: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, verb: &str, file: impl AsRef<Path>) -> Result<T> {
        self.map_err(|error| ImageError::Io {
            doing: format!("{verb} {}", file.as_ref().display()),
            source: error.into(),
        })
    }
}

/// An archive or layer `what` that is not as it should be.
pub(crate) fn bad(what: impl Display, reason: impl Display) -> ImageError {
    ImageError::Bad { what: what.to_string(), reason: reason.to_string() }
}

/// A path of an archive as text for messages.
pub(crate) fn shown(path: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(path);
    let short: String = text.chars().take(LONGEST).collect();
    PathBuf::from(if short.len() < text.len() { short + "…" } else { short })
        .display()
        .to_string()
        .escape_default()
        .to_string()
}
