//! Transactions: conditions as comparisons, and which one failed.

use etcd_client::proto::{PbTxnOpResponse, PbTxnResponse};
use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp};

use super::keyspace::Keyspace;
use super::seen::corrupt;
use super::status::{is_lease_gone, meaning, refusal};
use super::{EtcdRegistry, Repeat, leases, listing};
use crate::{Condition, LeaseId, Operation, RegistryError, Revision, Transaction};

pub(super) async fn transact(
    registry: &EtcdRegistry,
    transaction: Transaction,
) -> Result<Revision, RegistryError> {
    let Transaction { conditions, operations } = transaction;
    if conditions.is_empty() && operations.is_empty() {
        // etcd answers an empty transaction from one member's memory.
        return listing::latest(registry).await;
    }
    let leases = leases_of(&operations);
    if let Some(lease) = leases.iter().find(|lease| leases::to_etcd(**lease).is_none()) {
        return Err(RegistryError::LeaseGone { lease: lease.0 });
    }
    let request = request(&registry.keyspace, &conditions, operations);
    let floor = registry.seen.floor();
    let call = |mut client: etcd_client::Client| {
        let request = request.clone();
        async move { client.txn(request).await }
    };
    // Whoever gets no answer reads before trying again: it may have happened.
    let response = match registry.members()?.call(Repeat::OnlyUnsent, call).await? {
        Ok(response) => response.0,
        Err(error) if is_lease_gone(&error) => return Err(which_is_gone(registry, &leases).await?),
        Err(error) => {
            return Err(match refusal(&error) {
                Some(problem) => RegistryError::Invalid { what: "transaction", problem },
                None => meaning(error),
            });
        }
    };
    let revision = registry.seen.check(response.header, floor)?;
    if response.succeeded {
        return Ok(revision);
    }
    let modified = modified(&response)?;
    let failed = conditions.iter().zip(modified).find(|(condition, at)| !holds(condition, *at));
    let Some((condition, _)) = failed else {
        return Err(corrupt("etcd refused a transaction whose conditions all hold"));
    };
    Err(RegistryError::Conflict { key: condition.key().to_owned(), revision })
}

/// On success the operations; otherwise what the conditions were about, to tell which failed.
fn request(keyspace: &Keyspace, conditions: &[Condition], operations: Vec<Operation>) -> Txn {
    let compares: Vec<_> = conditions.iter().map(|c| compare(keyspace, c)).collect();
    let operations: Vec<_> = operations.into_iter().map(|o| operation(keyspace, o)).collect();
    let looks = conditions.iter().map(|condition| {
        let options = GetOptions::new().with_keys_only();
        TxnOp::get(keyspace.outer(condition.key()), Some(options))
    });
    Txn::new().when(compares).and_then(operations).or_else(looks.collect::<Vec<_>>())
}

fn compare(keyspace: &Keyspace, condition: &Condition) -> Compare {
    let key = keyspace.outer(condition.key());
    match condition {
        Condition::Absent(_) => Compare::create_revision(key, CompareOp::Equal, 0),
        Condition::Present(_) => Compare::create_revision(key, CompareOp::Greater, 0),
        Condition::Unchanged(_, at) => match i64::try_from(at.0) {
            Ok(at) if at > 0 => Compare::mod_revision(key, CompareOp::Equal, at),
            // Never, and a missing key has 0.
            Ok(_) | Err(_) => Compare::mod_revision(key, CompareOp::Less, 0),
        },
    }
}

fn operation(keyspace: &Keyspace, operation: Operation) -> TxnOp {
    match operation {
        Operation::Put { key, value, lease } => {
            let lease = lease.and_then(leases::to_etcd).unwrap_or(0);
            let options = PutOptions::new().with_lease(lease);
            TxnOp::put(keyspace.outer(&key), value, Some(options))
        }
        Operation::Delete(key) => TxnOp::delete(keyspace.outer(&key), None),
    }
}

/// When each condition's key was last written, in the order of conditions; none where it is absent.
fn modified(response: &PbTxnResponse) -> Result<Vec<Option<Revision>>, RegistryError> {
    let looked = response.responses.iter().map(|looked| match &looked.response {
        Some(PbTxnOpResponse::ResponseRange(range)) => {
            range.kvs.first().map(|stored| super::seen::revision(stored.mod_revision)).transpose()
        }
        Some(
            PbTxnOpResponse::ResponsePut(_)
            | PbTxnOpResponse::ResponseDeleteRange(_)
            | PbTxnOpResponse::ResponseTxn(_),
        )
        | None => Err(corrupt("etcd answered a read in a transaction with something else")),
    });
    looked.collect()
}

fn holds(condition: &Condition, modified: Option<Revision>) -> bool {
    match condition {
        Condition::Absent(_) => modified.is_none(),
        Condition::Unchanged(_, at) => modified == Some(*at),
        Condition::Present(_) => modified.is_some(),
    }
}

/// The leases that keys are put under, each once, in order.
fn leases_of(operations: &[Operation]) -> Vec<LeaseId> {
    let mut leases = Vec::new();
    for operation in operations {
        if let Operation::Put { lease: Some(lease), .. } = operation
            && !leases.contains(lease)
        {
            leases.push(*lease);
        }
    }
    leases
}

/// etcd does not say which of several leases was missing.
async fn which_is_gone(
    registry: &EtcdRegistry,
    leases: &[LeaseId],
) -> Result<RegistryError, RegistryError> {
    let (last, others) = match leases {
        [others @ .., last] => (last, others),
        [] => return Err(corrupt("etcd missed a lease in a transaction without one")),
    };
    for lease in others {
        if leases::is_gone(registry, *lease).await? {
            return Ok(RegistryError::LeaseGone { lease: lease.0 });
        }
    }
    // One of them was missing, and none comes back.
    Ok(RegistryError::LeaseGone { lease: last.0 })
}
