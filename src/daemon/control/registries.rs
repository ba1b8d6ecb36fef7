//! Images from and to registries.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::caller::{Caller, Gone};
use super::images::refused;
use super::{Daemon, blocking};
use crate::api::control::{
    Answer, CheckLogin, Pull, PullImage, Push, Resolve, Transfer, TransferEvent, Transferred,
    Transfers,
};
use crate::daemon::SELF;
use crate::daemon::upkeep::PULLED;
use crate::image::registry::{Registries, Watcher, Wish};
use crate::image::{ImageError, Store, is_builtin};
use crate::model::{Digest, Logins, Progress};

/// How many images move at the same time, for one caller. Each has a few layers under way at once.
const AT_ONCE: usize = 4;
/// How much news waits for a slow caller.
const NEWS: usize = 256;
/// How often the progress of a layer is told.
const TICK: Duration = Duration::from_millis(100);

impl Daemon {
    pub(super) async fn pull(&self, request: Pull) -> Answer<Transfers> {
        let Pull { images, logins } = request;
        let registries = self.registries(logins).await?;
        let (store, upkeep) = (self.hands().images.clone(), self.upkeep.clone());
        let work = move |image: &PullImage, watcher: &Reporter<'_>| {
            let (id, done) = pull(&store, image, &registries, watcher)?;
            // Others may have to go; but not this one, which is about to be used.
            upkeep.came([id], PULLED);
            Ok(done)
        };
        Ok(each(images, work))
    }

    pub(super) async fn push(&self, request: Push) -> Answer<Transfers> {
        let Push { references, logins } = request;
        let registries = self.registries(logins).await?;
        let store = self.hands().images.clone();
        let work = move |reference: &String, watcher: &Reporter<'_>| {
            let digest = store.push(reference, &registries, watcher)?.to_string();
            Ok(Transferred { digest, moved: true, warning: None })
        };
        Ok(each(references, work))
    }

    pub(super) async fn digests(&self, request: Resolve) -> Answer<Vec<String>> {
        let Resolve { references, logins } = request;
        let registries = self.registries(logins).await?;
        let (caller, gone) = Caller::new();
        let answer = blocking(move || {
            let pinned = |name: &String| registries.pinned(name, &gone).map_err(refused);
            references.iter().map(pinned).collect()
        })
        .await;
        drop(caller);
        answer
    }

    pub(super) async fn log_in(&self, request: CheckLogin) -> Answer<()> {
        let registries = self.registries(Logins::default()).await?;
        let CheckLogin { registry, credentials } = request;
        blocking(move || registries.check_login(&registry, &credentials).map_err(refused)).await
    }

    /// How registries are reached by somebody with these logins, as the files say now.
    async fn registries(&self, logins: Logins) -> Answer<Registries> {
        let (configuration, memory) = (self.configuration.clone(), self.memory.clone());
        blocking(move || configuration.registries(logins, memory).map_err(refused)).await
    }
}

fn pull(
    store: &Store,
    image: &PullImage,
    registries: &Registries,
    watcher: &Reporter<'_>,
) -> Result<(Digest, Transferred), ImageError> {
    if is_builtin(&image.reference) {
        let own = store.builtin(Path::new(SELF))?;
        return Ok((own.id, Transferred::default()));
    }
    let PullImage { reference, policy, platform } = image.clone();
    let pulled = store.obtain(&Wish { reference, policy, platform }, registries, watcher)?;
    let (digest, moved) = (pulled.digest.to_string(), pulled.came);
    Ok((pulled.image.id, Transferred { digest, moved, warning: pulled.warning }))
}

/// Does `work` for each of `images`, several at once, on threads of their own.
fn each<T: Send + Sync + 'static>(
    images: Vec<T>,
    work: impl Fn(&T, &Reporter<'_>) -> Result<Transferred, ImageError> + Send + Sync + 'static,
) -> Transfers {
    let (news, transfers) = mpsc::channel(NEWS);
    std::thread::spawn(move || {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..images.len().min(AT_ONCE) {
                scope.spawn(|| {
                    // Ends with the images, or when the caller has gone.
                    while !news.is_closed() {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(image) = images.get(index) else { break };
                        let reporter = Reporter::new(index, &news);
                        let event = match work(image, &reporter) {
                            Ok(done) => TransferEvent::Transferred(done),
                            Err(error) => TransferEvent::Failed(refused(error)),
                        };
                        reporter.tell(event);
                    }
                });
            }
        });
    });
    transfers
}

impl Watcher for Gone {
    fn progress(&self, _progress: Progress) {}

    fn cancelled(&self) -> bool {
        self.is_so()
    }
}

/// Tells the caller how an image is doing; a caller that has gone gives it up.
struct Reporter<'a> {
    image: u32,
    news: &'a mpsc::Sender<Transfer>,
    told: Mutex<HashMap<Digest, Instant>>,
}

impl<'a> Reporter<'a> {
    fn new(index: usize, news: &'a mpsc::Sender<Transfer>) -> Self {
        // The server lets no more through than fit.
        let image = u32::try_from(index).unwrap_or(u32::MAX);
        Self { image, news, told: Mutex::default() }
    }

    fn tell(&self, event: TransferEvent) {
        // A caller that has gone is seen by `cancelled`.
        let _gone = self.news.blocking_send(Transfer { image: self.image, event }).is_err();
    }

    /// Whether it is time to tell of a layer again.
    fn is_due(&self, layer: &Digest) -> bool {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        match told.get(layer) {
            Some(last) if now.saturating_duration_since(*last) < TICK => false,
            _ => {
                told.insert(layer.clone(), now);
                true
            }
        }
    }
}

impl Watcher for Reporter<'_> {
    fn progress(&self, progress: Progress) {
        match &progress {
            Progress::Moved { layer, .. } if self.is_due(layer) => {
                let event = TransferEvent::Progress(progress);
                // To a slow caller it is not worth waiting: there is more where this came from.
                let _full = self.news.try_send(Transfer { image: self.image, event }).is_err();
            }
            Progress::Moved { .. } => {}
            _ => self.tell(TransferEvent::Progress(progress)),
        }
    }

    fn cancelled(&self) -> bool {
        self.news.is_closed()
    }
}
