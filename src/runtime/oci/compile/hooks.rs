//! `hooks`.

use std::time::Duration;

use oci_spec::runtime::Spec;

use super::super::super::compile::Unfit;
use super::super::super::hooks::Hook;
use super::super::error::Result;

/// The hooks of a container, by the moment they run.
#[derive(Debug, Default)]
pub(in crate::runtime::oci) struct Hooks {
    /// Before the root is changed, on the host: `prestart`, then `createRuntime`.
    pub create_runtime: Vec<Hook>,
    /// The same moment, in the container's namespaces.
    pub create_container: Vec<Hook>,
    /// Before the program, in the container.
    pub start_container: Vec<Hook>,
    /// Once the program runs, on the host.
    pub poststart: Vec<Hook>,
    /// Once the container is gone, on the host.
    pub poststop: Vec<Hook>,
}

/// All hooks of a configuration.
pub(in crate::runtime::oci) fn of(spec: &Spec) -> Result<Hooks> {
    let Some(hooks) = spec.hooks() else { return Ok(Hooks::default()) };
    let prestart = hooks.prestart();
    let mut create_runtime = read("prestart", prestart.as_deref())?;
    create_runtime.extend(read("createRuntime", hooks.create_runtime().as_deref())?);
    Ok(Hooks {
        create_runtime,
        create_container: read("createContainer", hooks.create_container().as_deref())?,
        start_container: read("startContainer", hooks.start_container().as_deref())?,
        poststart: read("poststart", hooks.poststart().as_deref())?,
        poststop: read("poststop", hooks.poststop().as_deref())?,
    })
}

fn read(kind: &'static str, hooks: Option<&[oci_spec::runtime::Hook]>) -> Result<Vec<Hook>> {
    let read = |hook: &oci_spec::runtime::Hook| {
        if !hook.path().is_absolute() {
            let path = hook.path().display();
            return Err(Unfit(format!("the path {path:?} of a {kind} hook is not absolute")));
        }
        let timeout = match hook.timeout() {
            None => None,
            Some(seconds @ 1..) => Some(Duration::from_secs(seconds.unsigned_abs())),
            Some(seconds) => {
                return Err(Unfit(format!(
                    "the timeout {seconds} of a {kind} hook is not above 0"
                )));
            }
        };
        Ok(Hook {
            kind,
            path: hook.path().clone(),
            args: hook.args().clone().unwrap_or_default(),
            env: hook.env().clone(),
            timeout,
        })
    };
    Ok(hooks.unwrap_or_default().iter().map(read).collect::<std::result::Result<_, _>>()?)
}
