//! Stacks and services.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use super::{Daemon, blocking};
use crate::api::control::{Answer, Applied, Apply, ControlError, Preview, Remove, Scale, Services};
use crate::daemon::{SELF, preview};
use crate::image::registry::Policy;
use crate::image::{self, BUILTIN};
use crate::model::{
    Agreed, Command, FileSource, MountSource, Outcome, PinnedImage, Port, Project, Protocol,
    Removal, Service, Stack, Task, Volume,
};
use crate::plan;
use crate::sys::{clock, quota};

/// The largest config or secret, in bytes: they are kept in the state.
const FILE_MAX: u64 = 1 << 20;

impl Daemon {
    pub(super) async fn apply_stack(&self, request: Apply) -> Answer<Applied> {
        let _applying = self.applying.lock().await;
        let grace = request.grace;
        let stack = self.stack(request).await?;
        let agreed = self.agreed();
        let earlier = agreed.stacks.get(&stack.project.name);
        if let Some(earlier) = earlier.filter(|earlier| same(&agreed, earlier, &stack)) {
            let generation = earlier.generation;
            return Ok(Applied { generation, changed: false, warnings: vec![] });
        }
        check_ports(&agreed, &stack.project)?;
        let name = stack.project.name.clone();
        self.host.override_grace(&name, None, grace);
        let view = self.commit(Command::ApplyStack(Box::new(stack))).await?;
        let generation = view.agreed.stacks.get(&name).map_or(0, |stack| stack.generation);
        Ok(Applied { generation, changed: true, warnings: vec![] })
    }

    pub(super) async fn preview_stack(&self, request: Apply) -> Answer<Preview> {
        let stack = self.stack(request).await?;
        let view = self.engine.view().borrow().clone();
        check_ports(&view.agreed, &stack.project)?;
        let command = Command::ApplyStack(Box::new(stack));
        let steps = preview::preview(&view.agreed, &view.observed, &clock::now(), &command)
            .map_err(|refused| ControlError::conflict(refused.to_string()))?;
        Ok(Preview { steps, warnings: vec![] })
    }

    pub(super) async fn remove_stack(&self, request: Remove) -> Answer<()> {
        self.check_stack(&request.stack)?;
        self.host.override_grace(&request.stack, None, request.grace);
        let removal = Removal { volumes: request.volumes };
        self.commit(Command::RemoveStack { stack: request.stack, removal }).await?;
        Ok(())
    }

    pub(super) async fn scale_services(&self, request: Scale) -> Answer<()> {
        let _applying = self.applying.lock().await;
        let agreed = self.agreed();
        let known = &self.check_stack(&request.stack)?.project.services;
        for service in request.replicas.keys() {
            if !known.contains_key(service) {
                return Err(unknown_service(&request.stack, service));
            }
        }
        drop(agreed);
        for (service, replicas) in request.replicas {
            let stack = request.stack.clone();
            self.commit(Command::Scale { stack, service, replicas }).await?;
        }
        Ok(())
    }

    pub(super) async fn stop_services(&self, request: Services) -> Answer<()> {
        let Services { stack, services, grace, remove } = request;
        for service in &services {
            self.host.override_grace(&stack, Some(service), grace);
        }
        self.commit(Command::StopServices { stack, services, remove }).await?;
        Ok(())
    }

    pub(super) async fn start_services(&self, request: Services) -> Answer<()> {
        let Services { stack, services, .. } = request;
        self.commit(Command::StartServices { stack, services }).await?;
        Ok(())
    }

    pub(super) async fn restart_services(&self, request: Services) -> Answer<()> {
        let Services { stack, services, grace, .. } = request;
        for service in &services {
            self.host.override_grace(&stack, Some(service), grace);
        }
        self.commit(Command::RestartServices { stack, services }).await?;
        Ok(())
    }

    fn check_stack(&self, name: &str) -> Answer<Stack> {
        let agreed = self.agreed();
        agreed
            .stacks
            .get(name)
            .cloned()
            .ok_or_else(|| ControlError::not_found(format!("there is no stack {name}")))
    }

    /// The project with everything pinned that could change behind it: images, files of configs and
    /// secrets.
    async fn stack(&self, request: Apply) -> Answer<Stack> {
        let Apply { mut project, recreate, start, hold, .. } = request;
        let agreed = self.agreed();
        let earlier = agreed.stacks.get(&project.name).filter(|stack| stack.removing.is_none());
        let images = self.pin_images(&project).await?;
        let root = self.instance.root.clone();
        project = blocking(move || {
            read_files(&mut project)?;
            check_binds(&project)?;
            check_limits(&project, &root)?;
            Ok(project)
        })
        .await?;
        let revision =
            |service: &String| (service.clone(), plan::revision(&project, service, &images));
        let revisions = project.services.keys().map(revision).collect();
        // The store adds these to what was.
        let nonces = recreate.into_iter().map(|service| (service, 1)).collect();
        let mut stopped = earlier.map(|stack| stack.stopped.clone()).unwrap_or_default();
        stopped.retain(|service| !start.contains(service));
        stopped.extend(hold);
        stopped.retain(|service| project.services.contains_key(service));
        Ok(Stack {
            project,
            images,
            generation: 0,
            users: None,
            applied_at: clock::wall(),
            revisions,
            stopped,
            nonces,
            removing: None,
        })
    }

    /// Looks up every image that the project names, for the last time. All that is wrong is told at
    /// once.
    async fn pin_images(&self, project: &Project) -> Answer<BTreeMap<String, PinnedImage>> {
        let mut wanted: BTreeMap<String, (String, Option<String>)> = BTreeMap::new();
        for (name, service) in &project.services {
            for reference in references(service) {
                let platform = service.platform.clone().filter(|_| reference == service.image);
                wanted.entry(reference.to_owned()).or_insert_with(|| (name.clone(), platform));
            }
        }
        let (images, configuration) = (self.hands().images.clone(), self.configuration.clone());
        blocking(move || {
            let policy = configuration.policy().map_err(super::images::refused)?;
            let mut found = BTreeMap::new();
            let mut wrong = Vec::new();
            for (reference, (service, platform)) in wanted {
                match pin(&images, &policy, &reference, platform.as_deref())? {
                    Ok(image) => {
                        found.insert(reference, image);
                    }
                    Err(reason) => wrong.push(format!("service {service}: {reason}")),
                }
            }
            if wrong.is_empty() {
                return Ok(found);
            }
            Err(ControlError::failed_precondition(wrong.join("\n")).with_hint(
                "get images with `orca pull`, or from a file with `orca image load -i ARCHIVE`; \
                 `orca image ls` shows what is here",
            ))
        })
        .await
    }
}

fn unknown_service(stack: &str, service: &str) -> ControlError {
    ControlError::not_found(format!("stack {stack} has no service {service}"))
}

/// Whether applying `new` over `earlier` would change nothing. What failed for good is tried again, so
/// that is a change.
fn same(agreed: &Agreed, earlier: &Stack, new: &Stack) -> bool {
    let failed = |task: &Task| {
        task.stack == earlier.project.name && matches!(task.outcome, Some(Outcome::Failed(_)))
    };
    earlier.removing.is_none()
        && earlier.project == new.project
        && earlier.images == new.images
        && earlier.revisions == new.revisions
        && earlier.stopped == new.stopped
        && new.nonces.is_empty()
        && !agreed.tasks.values().any(failed)
}

/// The images that a service needs.
fn references(service: &Service) -> impl Iterator<Item = &str> {
    let mounted = service.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Image { image, .. } => Some(image.as_str()),
        _ => None,
    });
    std::iter::once(service.image.as_str()).chain(mounted)
}

/// The image that a service is to run; or why it cannot, as a sentence.
fn pin(
    images: &image::Store,
    policy: &Policy,
    reference: &str,
    platform: Option<&str>,
) -> Answer<Result<PinnedImage, String>> {
    let image = if image::is_builtin(reference) {
        Some(images.builtin(Path::new(SELF)).map_err(super::internal)?)
    } else {
        images.resolve(reference).map_err(|error| {
            ControlError::caused_by(crate::api::control::ErrorKind::InvalidInput, &error).with_hint(
                format!("an image is named like nginx:1.27, or {BUILTIN} for orca itself"),
            )
        })?
    };
    let Some(image) = image else { return Ok(Err(format!("there is no image {reference}"))) };
    let fit = images
        .check_runs(&image, platform)
        .and_then(|()| images.check_policy(reference, policy))
        .and_then(|()| images.digest(reference));
    Ok(match fit {
        Ok(digest) => Ok(PinnedImage { id: image.id, digest, config: image.config }),
        Err(error) => Err(error.to_string()),
    })
}

/// Reads the files of configs and secrets, so that a change of one is a change of the stack.
fn read_files(project: &mut Project) -> Answer<()> {
    for (kind, sources) in [("config", &mut project.configs), ("secret", &mut project.secrets)] {
        for (name, source) in sources {
            let FileSource::File(path) = source else { continue };
            let content = read_file(path).map_err(|error| {
                let message = format!("{kind} {name}: cannot read {}: {error}", path.display());
                ControlError::failed_precondition(message)
            })?;
            *source = FileSource::Content(content);
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let size = std::fs::metadata(path)?.len();
    if size > FILE_MAX {
        return Err(io::Error::other(format!(
            "it has {size} bytes, and at most {FILE_MAX} can be kept"
        )));
    }
    std::fs::read(path)
}

/// Paths that must be there and are not are told before anything is changed.
fn check_binds(project: &Project) -> Answer<()> {
    for (name, service) in &project.services {
        for mount in &service.mounts {
            let MountSource::Bind { path, create: false, .. } = &mount.source else { continue };
            if !path.exists() {
                let path = path.display();
                return Err(ControlError::failed_precondition(format!(
                    "service {name}: {path} is to be mounted at {} but is not there",
                    mount.target
                )));
            }
        }
    }
    Ok(())
}

/// Tells of sizes that this disk cannot hold anything to.
fn check_limits(project: &Project, root: &Path) -> Answer<()> {
    let limited = |service: &Service| service.storage_size().is_some();
    let service = project.services.iter().find(|(_, service)| limited(service));
    let own = |volume: &Volume| volume.driver_opts.keys().eq(["size"]);
    let volume = project.volumes.values().find(|volume| own(volume));
    let what = match (service, volume) {
        (Some((name, _)), _) => format!("service {name}: storage_opt.size"),
        (None, Some(volume)) => format!("volume {}: driver_opts.size", volume.name),
        (None, None) => return Ok(()),
    };
    quota::check(root).map_err(|error| {
        ControlError::failed_precondition(format!("{what}: {}: {error}", root.display()))
    })
}

/// Tells of a port that somebody else has before anything is changed. Ports that this stack has
/// already are its own.
fn check_ports(agreed: &Agreed, project: &Project) -> Answer<()> {
    let held = agreed.stacks.get(&project.name).map(published).unwrap_or_default();
    for (service, port) in project
        .services
        .iter()
        .flat_map(|(name, service)| service.ports.iter().map(move |port| (name, port)))
    {
        let Some((first, last)) = port.published else { continue };
        let key = (port.host_ip, first, port.protocol);
        if first != last || held.contains(&key) {
            continue;
        }
        if let Err(error) = bind(port, first) {
            let address = SocketAddr::new(address(port), first);
            let holder = crate::netd::holder(port.protocol, address)
                .map_or_else(|| error.to_string(), |holder| format!("it is in use by {holder}"));
            let message = format!(
                "service {service}: cannot publish port {first}/{}: {holder}",
                port.protocol.as_str()
            );
            return Err(ControlError::conflict(message)
                .with_hint("stop the other program, or publish another port"));
        }
    }
    Ok(())
}

fn published(stack: &Stack) -> Vec<(Option<IpAddr>, u16, Protocol)> {
    let ports = stack.project.services.values().flat_map(|service| &service.ports);
    ports
        .filter_map(|port| port.published.map(|(first, _)| (port.host_ip, first, port.protocol)))
        .collect()
}

fn bind(port: &Port, number: u16) -> io::Result<()> {
    let address = SocketAddr::new(address(port), number);
    match port.protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
        // There is no socket for it in the standard library; the kernel's rules do not need one.
        Protocol::Sctp => Ok(()),
    }
}

fn address(port: &Port) -> IpAddr {
    port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
