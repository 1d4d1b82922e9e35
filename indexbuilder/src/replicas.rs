//! Follows the replicas through the root, for [`Pressure`].

use std::sync::Arc;
use std::time::Duration;

use nautilus_proto::root::v1::WatchReplicasRequest;
use nautilus_proto::root::v1::root_service_client::RootServiceClient;
use nautilus_service::server::MessageLimits;
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, Clock, with_message_limits};
use tonic::Status;
use tonic::transport::Channel;

use crate::pressure::Pressure;

/// Between two attempts to hear from the root.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Keeps `pressure` up to date until `stop`, by one root as long as it is there. While all are away the news gets
/// old, and then holds nothing up.
pub(crate) async fn follow(
    roots: Vec<Channel>,
    pressure: Arc<Pressure>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut pause = RETRY_FIRST;
    let mut is_away = false;
    for root in roots.iter().cycle() {
        let mut heard = false;
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = listen(root, &pressure, &clock, &mut heard) => ended,
        };
        if heard {
            (pause, is_away) = (RETRY_FIRST, false);
        }
        if let Err(status) = ended
            && !is_away
        {
            is_away = true;
            let error = error_chain(&status);
            tracing::info!(error, "no news of the replicas; writes are not held back meanwhile");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
        }
    }
}

async fn listen(
    root: &Channel,
    pressure: &Pressure,
    clock: &Clock,
    heard: &mut bool,
) -> Result<(), Status> {
    let client = RootServiceClient::new(root.clone());
    let mut client = with_message_limits!(client, MessageLimits::INTERNAL.of_client());
    let mut news = client.watch_replicas(WatchReplicasRequest {}).await?.into_inner();
    while let Some(update) = news.message().await? {
        pressure.hear(&update.replicas, clock.now());
        *heard = true;
    }
    Ok(())
}
