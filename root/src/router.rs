//! The routing table in force with a connection to each of its leaves, swapped as a whole.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nautilus_proto::leaf::v1::leaf_service_client::LeafServiceClient;
use nautilus_service::server::MessageLimits;
use nautilus_service::with_message_limits;
use nautilus_types::PartitionId;
use tonic::transport::{Channel, Endpoint};

use crate::{RootError, RoutingTable};

/// A client of one leaf.
pub(crate) type Leaf = LeafServiceClient<Channel>;

/// A table and its connections; a request uses one from beginning to end.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) table: RoutingTable,
    leaves: BTreeMap<String, Leaf>,
}

impl Routes {
    /// The leaf that serves `partition`, with its address.
    pub(crate) fn leaf_of(&self, partition: PartitionId) -> Option<(&str, Leaf)> {
        let address = self.table.leaf_of(partition)?;
        Some((address, self.leaves.get(address)?.clone()))
    }

    /// Every leaf with its address.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (&str, Leaf)> {
        self.leaves.iter().map(|(address, leaf)| (address.as_str(), leaf.clone()))
    }
}

/// Holds the routes in force.
#[derive(Debug)]
pub(crate) struct Router {
    routes: RwLock<Arc<Routes>>,
    connect_timeout: Duration,
}

impl Router {
    /// Connects when a leaf is first asked. Must be called on a runtime.
    pub(crate) fn new(table: RoutingTable, connect_timeout: Duration) -> Result<Self, RootError> {
        let routes = connect(table, &BTreeMap::new(), connect_timeout)?;
        Ok(Self { routes: RwLock::new(Arc::new(routes)), connect_timeout })
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on requests go by `table`; those under way end by the one they began with.
    pub(crate) fn replace(&self, table: RoutingTable) -> Result<(), RootError> {
        let routes = connect(table, &self.routes().leaves, self.connect_timeout)?;
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
        Ok(())
    }
}

/// Connections for a table; those that exist already go on.
fn connect(
    table: RoutingTable,
    existing: &BTreeMap<String, Leaf>,
    connect_timeout: Duration,
) -> Result<Routes, RootError> {
    let mut leaves = BTreeMap::new();
    for address in table.addresses() {
        let leaf = match existing.get(address) {
            Some(leaf) => leaf.clone(),
            None => new_leaf(address, connect_timeout)?,
        };
        leaves.insert(address.to_owned(), leaf);
    }
    Ok(Routes { table, leaves })
}

fn new_leaf(address: &str, connect_timeout: Duration) -> Result<Leaf, RootError> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|source| RootError::Address { address: address.to_owned(), source })?
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5));
    let client = LeafServiceClient::new(endpoint.connect_lazy());
    Ok(with_message_limits!(client, MessageLimits::INTERNAL.of_client()))
}
