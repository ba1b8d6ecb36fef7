//! A daemon that only remembers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Mutex;

use tokio::sync::{Notify, broadcast};

use super::super::*;
use crate::api::control::*;
use crate::engine::Event;
use crate::model::{
    AttemptId, ContainerId, Health, PullPolicy, ServiceStatus, Stack, StackStatus, TaskId,
    TaskState, TaskStatus, Timestamp,
};

/// What it was told, and what it says.
pub(super) struct Fake {
    view: watch::Sender<Arc<View>>,
    events: broadcast::Sender<Event>,
    failure: Mutex<Option<ControlError>>,
    pub(super) applied: Mutex<Vec<Apply>>,
    calls: Mutex<Vec<String>>,
    logs: Mutex<BTreeMap<u64, Vec<LogLine>>>,
    open_logs: Mutex<Vec<mpsc::Sender<LogLine>>>,
    pub(super) hung_up: Arc<Notify>,
    pub(super) let_go: Arc<Notify>,
    pub(super) broken: Arc<Notify>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            view: watch::Sender::new(Arc::default()),
            events: broadcast::Sender::new(16),
            failure: Mutex::default(),
            applied: Mutex::default(),
            calls: Mutex::default(),
            logs: Mutex::default(),
            open_logs: Mutex::default(),
            hung_up: Arc::default(),
            let_go: Arc::default(),
            broken: Arc::default(),
        }
    }
}

impl Fake {
    /// The next call fails.
    pub(super) fn fail(&self, message: &str, hint: Option<&str>) {
        let error = ControlError::failed_precondition(message);
        let error = hint.map_or(error.clone(), |hint| error.with_hint(hint));
        *self.failure.lock().unwrap() = Some(error);
    }

    /// Shows stack `shop` with these tasks, numbered from 1; without any there is no stack.
    pub(super) fn show(&self, tasks: &[(&str, u32, TaskState)]) {
        let mut view = View::default();
        if !tasks.is_empty() {
            view.stacks.insert("shop".to_owned(), status(tasks));
            let services = tasks.iter().map(|(service, _, _)| *service).collect::<Vec<_>>();
            let project = super::project(&services);
            Arc::make_mut(&mut view.agreed)
                .stacks
                .insert("shop".to_owned(), Stack { project, ..Stack::default() });
        }
        self.view.send_replace(Arc::new(view));
    }

    pub(super) fn log(&self, task: u64, lines: &[(u64, &str)]) {
        let line = |(time, text): &(u64, &str)| LogLine {
            time: Timestamp(Duration::from_secs(*time)),
            line: text.as_bytes().to_vec(),
            ..LogLine::default()
        };
        self.logs.lock().unwrap().insert(task, lines.iter().map(line).collect());
    }

    /// Followed logs end.
    pub(super) fn end_logs(&self) {
        self.open_logs.lock().unwrap().clear();
    }

    pub(super) fn happens(&self, stack: &str, service: &str) {
        self.events.send(event(stack, service, Timestamp::default())).unwrap();
    }

    pub(super) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn call(&self, call: String) -> Answer<()> {
        self.calls.lock().unwrap().push(call);
        self.failure.lock().unwrap().take().map_or(Ok(()), Err)
    }

    /// The number of the task whose container this is.
    fn task_of(&self, container: &ContainerId) -> u64 {
        let view = self.view.borrow().clone();
        let mut tasks = view.stacks.values().flat_map(|stack| &stack.tasks);
        tasks.find(|task| task.container.as_ref() == Some(container)).unwrap().task.0
    }
}

fn status(tasks: &[(&str, u32, TaskState)]) -> StackStatus {
    let task = |(number, (service, slot, state)): (usize, &(&str, u32, TaskState))| {
        let task = TaskId(u64::try_from(number).unwrap() + 1);
        let attempt = AttemptId { task, number: 1 };
        TaskStatus {
            task,
            attempt: Some(attempt),
            container: Some(ContainerId::of("fake", attempt)),
            name: format!("shop-{service}-{slot}"),
            stack: "shop".to_owned(),
            service: (*service).to_owned(),
            slot: *slot,
            revision: "r1".to_owned(),
            image: "image".to_owned(),
            command: "command".to_owned(),
            state: *state,
            health: Health::None,
            reason: None,
            exit_code: None,
            oom: false,
            restarts: 0,
            pid: Some(1),
            created: Timestamp::default(),
            running_for: None,
            addresses: BTreeMap::new(),
            publications: Vec::new(),
            wanted: true,
            labels: BTreeMap::new(),
            one_off: None,
            host_users: None,
        }
    };
    let service =
        |(name, _, _): &(&str, u32, TaskState)| ((*name).to_owned(), ServiceStatus::default());
    StackStatus {
        name: "shop".to_owned(),
        services: tasks.iter().map(service).collect(),
        tasks: tasks.iter().enumerate().map(task).collect(),
        ..StackStatus::default()
    }
}

fn image(text: String) -> LoadedImage {
    let id = crate::model::Digest::sha256(&"a".repeat(64)).unwrap();
    LoadedImage { id, references: vec![text] }
}

#[tonic::async_trait]
impl Control for Fake {
    fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    fn events(&self, since: Option<Timestamp>) -> (Vec<Event>, broadcast::Receiver<Event>) {
        (
            since.map(|time| event("past", "web", time)).into_iter().collect(),
            self.events.subscribe(),
        )
    }

    async fn apply(&self, request: Apply) -> Answer<Applied> {
        self.call("apply".to_owned())?;
        self.applied.lock().unwrap().push(request);
        Ok(Applied { generation: 1, changed: true, warnings: vec!["a warning".to_owned()] })
    }

    async fn plan(&self, _: Apply) -> Answer<Preview> {
        Ok(Preview { steps: vec!["a step".to_owned()], warnings: Vec::new() })
    }

    async fn remove(&self, request: Remove) -> Answer<()> {
        self.call(format!("remove {}", request.stack))
    }

    async fn scale(&self, request: Scale) -> Answer<()> {
        self.call(format!("scale {} {:?}", request.stack, request.replicas))
    }

    async fn stop(&self, request: Services) -> Answer<()> {
        self.call(format!("stop {} {:?}", request.stack, request.services))
    }

    async fn start(&self, request: Services) -> Answer<()> {
        self.call(format!("start {} {:?}", request.stack, request.services))
    }

    async fn restart(&self, request: Services) -> Answer<()> {
        let Services { stack, services, grace, .. } = request;
        self.call(format!("restart {stack} {services:?} {grace:?}"))
    }

    async fn logs(&self, task: TaskId, options: LogOptions) -> Answer<mpsc::Receiver<LogLine>> {
        let (sender, lines) = mpsc::channel(16);
        for line in self.logs.lock().unwrap().remove(&task.0).unwrap_or_default() {
            sender.try_send(line).unwrap();
        }
        if options.follow {
            self.open_logs.lock().unwrap().push(sender);
        }
        Ok(lines)
    }

    /// `cat` gives back what it gets and ends with 7; `sleep` waits to be let go.
    async fn exec(&self, _: &ContainerId, request: Exec) -> Answer<Session> {
        let (input, mut inputs) = mpsc::channel(4);
        let (outputs, output) = mpsc::channel(4);
        let (hung_up, let_go) = (self.hung_up.clone(), self.let_go.clone());
        let sleeps = request.args == ["sleep"];
        tokio::spawn(async move {
            if sleeps {
                let_go.notified().await;
                return outputs.send(SessionOutput::Exited(0)).await.unwrap();
            }
            while let Some(input) = inputs.recv().await {
                let output = match input {
                    SessionInput::Stdin(bytes) => SessionOutput::Stdout(bytes),
                    SessionInput::Resize(size) => {
                        SessionOutput::Stderr(format!("{}x{}", size.rows, size.columns).into())
                    }
                    SessionInput::CloseStdin => SessionOutput::Exited(7),
                    SessionInput::Signal(signal) => SessionOutput::Stderr(signal.into()),
                };
                outputs.send(output).await.unwrap();
            }
            hung_up.notify_one();
        });
        Ok(Session { tty: false, input, output })
    }

    async fn attach(&self, container: &ContainerId, _: Attach) -> Answer<Session> {
        self.exec(container, Exec { args: vec!["cat".to_owned()], ..Exec::default() }).await
    }

    async fn run(&self, stack: Apply, request: Run) -> Answer<Session> {
        self.call(format!("run {} of {}", request.service, stack.project.name))?;
        self.exec(&ContainerId::of("fake", AttemptId::default()), Exec::default()).await
    }

    async fn drop_one_offs(&self, stack: &str, services: Vec<String>) -> Answer<()> {
        self.call(format!("drop {stack} {services:?}"))
    }

    async fn kill(&self, container: &ContainerId, signal: &str) -> Answer<()> {
        self.call(format!("kill {} {signal}", self.task_of(container)))
    }

    async fn pause(&self, container: &ContainerId) -> Answer<()> {
        self.call(format!("pause {}", self.task_of(container)))
    }

    async fn unpause(&self, container: &ContainerId) -> Answer<()> {
        self.call(format!("unpause {}", self.task_of(container)))
    }

    async fn usage(&self, _: &ContainerId) -> Answer<Usage> {
        Ok(Usage { memory: 4096, ..Usage::default() })
    }

    async fn processes(&self, _: &ContainerId) -> Answer<Vec<Process>> {
        Ok(vec![Process { pid: 1, ..Process::default() }])
    }

    async fn copy_out(&self, _: &ContainerId, request: CopyOut) -> Answer<(CopyFound, Chunks)> {
        self.call(format!("copy out {}", request.path))?;
        let (sender, chunks) = mpsc::channel(2);
        sender.try_send(io::Result::Ok(request.path.into_bytes())).unwrap();
        Ok((CopyFound { directory: true, name: "name".to_owned() }, chunks))
    }

    async fn copy_in(&self, _: &ContainerId, request: CopyIn, mut archive: Chunks) -> Answer<()> {
        let mut bytes = 0;
        while let Some(chunk) = archive.recv().await {
            bytes += chunk.unwrap().len();
        }
        self.call(format!("copy {bytes} bytes into {} as {:?}", request.path, request.source))
    }

    async fn load_images(&self, mut archive: Chunks) -> Answer<Vec<LoadedImage>> {
        let mut bytes = 0;
        while let Some(chunk) = archive.recv().await {
            bytes +=
                chunk.map_err(|error| ControlError::caused_by(ErrorKind::Internal, &error))?.len();
        }
        Ok(vec![image(format!("{bytes} bytes"))])
    }

    async fn load_file(&self, mut archive: File) -> Answer<Vec<LoadedImage>> {
        let mut bytes = String::new();
        std::io::Read::read_to_string(&mut archive, &mut bytes).unwrap();
        Ok(vec![image(bytes)])
    }

    async fn import_image(&self, request: ImportImage, mut archive: Chunks) -> Answer<LoadedImage> {
        // In a task of its own, as the call itself is dropped when the caller goes.
        let broken = self.broken.clone();
        let reading = tokio::spawn(async move {
            while let Some(chunk) = archive.recv().await {
                if chunk.is_err() {
                    broken.notify_one();
                }
            }
        });
        reading.await.unwrap();
        Ok(image(request.reference))
    }

    async fn save_images(&self, _: SaveImages) -> Answer<Chunks> {
        let (sender, chunks) = mpsc::channel(2);
        sender.try_send(io::Result::Ok(b"one".to_vec())).unwrap();
        sender.try_send(Ok(b"two".to_vec())).unwrap();
        Ok(chunks)
    }

    async fn pull_images(&self, request: Pull) -> Answer<Transfers> {
        let (sender, transfers) = mpsc::channel(16);
        for (index, image) in request.images.iter().enumerate() {
            let event = match image.policy {
                PullPolicy::Never => TransferEvent::Failed(ControlError::not_found("none here")),
                _ => TransferEvent::Transferred(Transferred {
                    digest: format!("{} as {:?}", image.reference, request.logins),
                    ..Transferred::default()
                }),
            };
            sender.try_send(Transfer { image: u32::try_from(index).unwrap(), event }).unwrap();
        }
        Ok(transfers)
    }

    async fn push_images(&self, request: Push) -> Answer<Transfers> {
        self.call(format!("push {:?}", request.references))?;
        Ok(mpsc::channel(1).1)
    }

    async fn resolve_images(&self, request: Resolve) -> Answer<Vec<String>> {
        Ok(request.references.iter().map(|name| format!("{name}@digest")).collect())
    }

    async fn check_login(&self, request: CheckLogin) -> Answer<()> {
        self.call(format!("log in {} {:?}", request.registry, request.credentials))
    }

    async fn images(&self) -> Answer<Vec<ImageSummary>> {
        Ok(Vec::new())
    }

    async fn image(&self, reference: &str) -> Answer<ImageDetail> {
        Err(ControlError::not_found(format!("there is no image `{reference}`")))
    }

    async fn remove_image(&self, _: &str, _: bool) -> Answer<RemovedImages> {
        Ok(RemovedImages::default())
    }

    async fn tag_image(&self, _: &str, _: &str) -> Answer<()> {
        Ok(())
    }

    async fn prune_images(&self, _: PruneImages) -> Answer<RemovedImages> {
        Ok(RemovedImages::default())
    }

    async fn volumes(&self) -> Answer<Vec<VolumeSummary>> {
        Ok(Vec::new())
    }

    async fn remove_volume(&self, name: &str) -> Answer<()> {
        self.call(format!("remove volume {name}"))
    }

    async fn prune_volumes(&self, _: PruneVolumes) -> Answer<RemovedVolumes> {
        Ok(RemovedVolumes::default())
    }

    async fn create_volume(&self, request: CreateVolume) -> Answer<VolumeSummary> {
        Ok(VolumeSummary { name: request.name, ..VolumeSummary::default() })
    }

    async fn export_volume(&self, _: &str) -> Answer<Chunks> {
        self.save_images(SaveImages::default()).await
    }

    async fn import_volume(&self, name: &str, mut archive: Chunks) -> Answer<()> {
        let mut bytes = 0;
        while let Some(chunk) = archive.recv().await {
            bytes +=
                chunk.map_err(|error| ControlError::caused_by(ErrorKind::Internal, &error))?.len();
        }
        self.call(format!("import {bytes} bytes into {name}"))
    }

    async fn info(&self) -> Answer<Info> {
        Err(ControlError::unavailable("the daemon is starting"))
    }

    async fn disk_usage(&self) -> Answer<DiskUsage> {
        Ok(DiskUsage::default())
    }

    async fn shut_down(&self, containers: bool) -> Answer<()> {
        self.call(format!("shut down {containers}"))
    }
}

fn event(stack: &str, service: &str, time: Timestamp) -> Event {
    Event {
        time,
        action: "start".to_owned(),
        stack: stack.to_owned(),
        service: Some(service.to_owned()),
        container: None,
        attributes: BTreeMap::new(),
    }
}
