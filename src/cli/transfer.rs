//! Follows images on their way, and tells how it ended.

use futures_util::{Stream, StreamExt as _};

use super::context::Context;
use super::docker_config;
use super::error::{CommandError, Outcome};
use super::progress::{Direction, Transfers};
use crate::api::control::{
    ControlError, Pull, PullImage, Push, Transfer, TransferEvent, Transferred,
};
use crate::api::{Client, ClientError};

/// How it ended for each image, by its place in the request.
pub(super) type Ended = Vec<Result<Transferred, ControlError>>;

/// Gets images. With `all`, also those are told of that were here already.
///
/// # Errors
/// If the daemon cannot be asked, or goes away meanwhile.
pub(super) async fn pull(
    context: &Context,
    client: &Client,
    images: Vec<PullImage>,
    all: bool,
) -> Outcome<Ended> {
    let names: Vec<_> = images.iter().map(|image| image.reference.clone()).collect();
    let pull = Pull { images, logins: docker_config::logins()? };
    let transfers = client.pull_images(pull).await?;
    follow(context, Direction::Pull, names, all, transfers).await
}

/// Sends images.
///
/// # Errors
/// If the daemon cannot be asked, or goes away meanwhile.
pub(super) async fn push(
    context: &Context,
    client: &Client,
    references: Vec<String>,
) -> Outcome<Ended> {
    let names = references.clone();
    let push = Push { references, logins: docker_config::logins()? };
    let transfers = client.push_images(push).await?;
    follow(context, Direction::Push, names, true, transfers).await
}

async fn follow(
    context: &Context,
    direction: Direction,
    names: Vec<String>,
    all: bool,
    mut news: impl Stream<Item = Result<Transfer, ClientError>> + Unpin,
) -> Outcome<Ended> {
    let broke_off = || ControlError::internal("the daemon broke off");
    let mut ended: Ended = names.iter().map(|_| Err(broke_off())).collect();
    let mut view = Transfers::new(context.output, direction, names, all);
    view.tick()?;
    // Ends with the stream, which the daemon ends.
    loop {
        let next = tokio::select! {
            next = news.next() => next,
            () = after(view.next_tick()) => {
                view.tick()?;
                continue;
            }
        };
        let Some(transfer) = next.transpose()? else { break };
        view.show(&transfer)?;
        let place = usize::try_from(transfer.image).ok().and_then(|at| ended.get_mut(at));
        let end = match transfer.event {
            TransferEvent::Transferred(done) => Some(Ok(done)),
            TransferEvent::Failed(error) => Some(Err(error)),
            TransferEvent::Progress(_) => None,
        };
        if let (Some(place), Some(end)) = (place, end) {
            *place = end;
        }
    }
    view.tick()?;
    let warnings = ended.iter().flatten().filter_map(|done| done.warning.as_ref());
    warnings.for_each(|warning| context.output.warning(warning));
    Ok(ended)
}

/// Tells of all that failed; the error says how many.
///
/// # Errors
/// If anything failed.
pub(super) fn all_well(context: &Context, ended: &Ended) -> Outcome {
    let failed: Vec<_> = ended.iter().filter_map(|end| end.as_ref().err()).collect();
    match failed[..] {
        [] => Ok(()),
        [error] => Err(error.clone().into()),
        _ => {
            for error in &failed {
                context.output.error(&CommandError::from((*error).clone()));
            }
            Err(CommandError::silent(super::error::FAILED))
        }
    }
}

async fn after(wait: Option<std::time::Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
