//! What can go wrong.

use std::io;
use std::path::PathBuf;

use crate::model::TaskId;

/// Why the network is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The process may not change the network.
    #[error("cannot change the network: this needs root, or the capability CAP_NET_ADMIN")]
    NotPermitted(#[source] io::Error),
    /// The kernel lacks something.
    #[error("the kernel has no {what}: load the module `{module}` or use a kernel that has it")]
    Missing {
        /// What it lacks, such as `bridges`.
        what: &'static str,
        /// The module that brings it.
        module: &'static str,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a change or did not answer a question.
    #[error("cannot {action}")]
    Kernel {
        /// What was tried, such as ``make the bridge of network `shop_default` ``.
        action: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A file of a network namespace could not be made or removed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, such as `mount the network namespace at`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A `net.*` setting could not be made.
    #[error("cannot set `{name}` to `{value}`")]
    Sysctl {
        /// The setting.
        name: String,
        /// The value.
        value: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A setting that is none of a network namespace.
    #[error("cannot set `{0}`: it is not a setting of the form `net.a.b`")]
    BadSysctl(String),
    /// The sandbox is to be in a network that has no bridge.
    #[error("cannot connect task {task} to network `{network}`: the network is not there")]
    NoSuchNetwork {
        /// The task.
        task: TaskId,
        /// The network.
        network: String,
    },
    /// The address of an interface is not one of its network.
    #[error("cannot give task {task} the address {address}: it is not in network `{network}`")]
    AddressOutside {
        /// The task.
        task: TaskId,
        /// The network.
        network: String,
        /// The address.
        address: std::net::IpAddr,
    },
    /// Two networks whose links would have the same name.
    #[error("networks `{0}` and `{1}` cannot be there together: rename one of them")]
    SameLink(String, String),
    /// A link of another kind has the name of a bridge.
    #[error("cannot make the bridge of network `{network}`: there is another link named {link}")]
    NotABridge {
        /// The network.
        network: String,
        /// The link.
        link: String,
    },
    /// An interface name that no link can have.
    #[error("`{0}` cannot be the name of an interface: at most 15 letters, digits and `-_.@+`")]
    BadInterfaceName(String),
    /// Work was cut off because the process ends.
    #[error("the work on the network was cut off")]
    CutOff,
}

impl NetworkError {
    /// For `map_err`: the kernel did not do `action`.
    pub(super) fn kernel(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Kernel { action, source }
    }

    /// For `map_err`: the file at `path` did not let itself be treated so.
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
