//! One batch, sent until each of its writes is acknowledged or refused.

use std::time::Duration;

use nautilus_proto::ingest::v1::{WriteError, WriteResponse};
use nautilus_service::class_of;
use nautilus_types::Class;
use tonic::{Code, Status};

use super::backoff;
use super::batch::{Batch, Outgoing};
use crate::client::Client;
use crate::credentials::Caller;

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Durable, each with the hash the server gave it.
    pub(super) acknowledged: Vec<(Outgoing, Vec<u8>)>,
    /// Refused, each for a reason of its own.
    pub(super) refused: Vec<(Outgoing, String)>,
    /// Why the feed cannot go on; writes in neither list may have been carried out or not.
    pub(super) fatal: Option<anyhow::Error>,
}

/// Sends the batch. What the cluster is too busy for, or not there for, is sent again for as long
/// as `patience`, the former for as long as it says so.
pub(super) async fn settle(client: Client, mut batch: Batch, patience: Duration) -> Settled {
    let mut settled = Settled::default();
    let mut start = client.clock.now();
    let mut attempt = 0;
    loop {
        let status = match send(&client, &batch).await {
            Ok(response) => match sort(&mut batch, response, &mut settled) {
                Ok(None) => return settled,
                Ok(Some(postponed)) => postponed,
                Err(fatal) => {
                    settled.fatal = Some(fatal);
                    return settled;
                }
            },
            Err(error) => match error.downcast::<Status>() {
                Ok(status) => status,
                Err(other) => {
                    settled.fatal = Some(other);
                    return settled;
                }
            },
        };
        // It is there, takes what it can and says when to come back: patience is for one that is away.
        if class_of(&status) == Class::Overloaded {
            start = client.clock.now();
        }
        let waited = client.clock.now().duration_since(start);
        if !backoff::may_pass(&status) || waited >= patience {
            settled.fatal = Some(status.into());
            return settled;
        }
        tokio::time::sleep(backoff::pause(attempt, backoff::hint(&status))).await;
        attempt += 1;
    }
}

async fn send(client: &Client, batch: &Batch) -> anyhow::Result<WriteResponse> {
    let request = client.request(batch.request(), Caller::User)?;
    Ok(client.ingest().write(request).await?.into_inner())
}

/// Puts each write where its result says; keeps in the batch those to be sent again and answers
/// with one of their reasons.
fn sort(
    batch: &mut Batch,
    response: WriteResponse,
    settled: &mut Settled,
) -> anyhow::Result<Option<Status>> {
    let sent = std::mem::take(batch);
    if response.results.len() != sent.writes.len() {
        anyhow::bail!(
            "the server answered {} writes with {} results",
            sent.writes.len(),
            response.results.len()
        );
    }
    let mut postponed = None;
    for (write, result) in sent.writes.into_iter().zip(response.results) {
        let Some(error) = result.error else {
            settled.acknowledged.push((write, result.content_hash));
            continue;
        };
        let status = Status::new(Code::from(error.code), error.message.clone());
        match class_of(&status) {
            Class::Overloaded | Class::Unavailable | Class::Deadline => {
                batch.push(write);
                postponed = Some(status);
            }
            Class::Invalid
            | Class::Unauthenticated
            | Class::Denied
            | Class::NotFound
            | Class::Conflict
            | Class::Precondition
            | Class::Fenced
            | Class::Cancelled
            | Class::Corrupt
            | Class::Bug => settled.refused.push((write, describe(&error))),
        }
    }
    Ok(postponed)
}

fn describe(error: &WriteError) -> String {
    let field = if error.field.is_empty() { String::new() } else { format!("{}: ", error.field) };
    format!("{field}{} ({})", error.message, error.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nautilus_proto::ingest::v1::WriteResult;

    fn batch(count: usize) -> Batch {
        let mut batch = Batch::default();
        for number in 0..count {
            batch.push(Outgoing::delete((0, "n"), format!("d{number}"), None));
        }
        batch
    }

    fn failed(code: Code) -> WriteResult {
        let error = WriteError {
            code: code.into(),
            reason: "WHY".to_owned(),
            message: "no".to_owned(),
            field: String::new(),
        };
        WriteResult { error: Some(error), content_hash: Vec::new() }
    }

    #[test]
    fn each_write_gets_its_own_end() {
        let (mut batch, mut settled) = (batch(3), Settled::default());
        let results =
            vec![WriteResult::default(), failed(Code::Unavailable), failed(Code::PermissionDenied)];
        let response = WriteResponse { results, consistency_token: String::new() };
        let postponed = sort(&mut batch, response, &mut settled).expect("sound answer");
        assert_eq!(postponed.expect("one is").code(), Code::Unavailable);
        assert_eq!(settled.acknowledged[0].0.write.document_id, "d0");
        assert_eq!(batch.writes[0].write.document_id, "d1");
        assert_eq!(settled.refused[0].1, "no (WHY)");
    }

    #[test]
    fn an_answer_of_another_length_is_not_guessed_at() {
        let response = WriteResponse { results: Vec::new(), consistency_token: String::new() };
        assert!(sort(&mut batch(1), response, &mut Settled::default()).is_err());
    }
}
