//! Devices that are asked for by what they are, as `gpus` does, and not by name.

use super::registry::Registry;
use super::{CdiError, is_name};
use crate::model::DeviceRequest;

/// The class of graphics processors.
const GPU: &str = "gpu";
/// Drivers that Docker's users name, and whose devices those are.
const DRIVERS: [(&str, &str); 3] =
    [("nvidia", "nvidia.com/gpu"), ("amd", "amd.com/gpu"), ("intel", "intel.com/gpu")];
/// A device of this name is all devices of its kind.
const ALL: &str = "all";

/// The full names of the devices.
pub(super) fn names(request: &DeviceRequest, registry: &Registry) -> Result<Vec<String>, CdiError> {
    if let Some(option) = request.options.keys().next() {
        return Err(CdiError(format!("the option {option:?} of devices is not known here")));
    }
    if request.driver == "cdi" {
        return match request.ids.iter().find(|id| !is_name(id)) {
            Some(id) => {
                Err(CdiError(format!("{id:?} is no device: its form is vendor.com/class=name")))
            }
            None => Ok(request.ids.clone()),
        };
    }
    let kind = kind(request, registry)?;
    if !request.ids.is_empty() {
        return Ok(request.ids.iter().map(|id| format!("{kind}={id}")).collect());
    }
    let known = registry.of_kind(&kind);
    let some = |names: &[&str]| names.iter().map(|name| format!("{kind}={name}")).collect();
    match request.count {
        None if known.contains(&ALL) => Ok(some(&[ALL])),
        None if known.is_empty() => Err(registry.unknown(&format!("there is no {kind}"))),
        None => Ok(some(&known)),
        Some(count) => {
            let single: Vec<&str> = known.into_iter().filter(|name| *name != ALL).collect();
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            match single.get(..count) {
                Some(first) => Ok(some(first)),
                None => {
                    let has = single.len();
                    Err(registry.unknown(&format!("{count} of {kind} are asked for, not {has}")))
                }
            }
        }
    }
}

fn kind(request: &DeviceRequest, registry: &Registry) -> Result<String, CdiError> {
    let driver = request.driver.as_str();
    if driver.contains('/') {
        return Ok(driver.to_owned());
    }
    if let Some((_, kind)) = DRIVERS.iter().find(|(name, _)| *name == driver) {
        return Ok((*kind).to_owned());
    }
    if !driver.is_empty() {
        return Err(registry.unknown(&format!("there is no driver {driver:?} of devices")));
    }
    if !request.capabilities.iter().any(|one| one == GPU) {
        return Err(CdiError(
            "devices are asked for without a driver and without the capability `gpu`".to_owned(),
        ));
    }
    match registry.kinds(GPU).as_slice() {
        [] => Err(registry.unknown("there is no GPU")),
        [one] => Ok((*one).to_owned()),
        kinds => Err(CdiError(format!(
            "there is more than one kind of GPU: name one of {} as the driver",
            kinds.join(", ")
        ))),
    }
}
