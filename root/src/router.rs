//! The routing table in force with a connection to each of its leaves, swapped as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nautilus_proto::leaf::v1::leaf_service_client::LeafServiceClient;
use nautilus_registry::Revision;
use nautilus_service::server::MessageLimits;
use nautilus_service::tls::{Role, Tls};
use nautilus_service::with_message_limits;
use nautilus_types::{PartitionId, PartitionMap};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use crate::leaf_state::LeafState;
use crate::routing::{LeafAddress, Replica, RoutingTable, Standing};

/// A client of one leaf.
pub(crate) type Leaf = LeafServiceClient<Channel>;

/// A leaf with the connection to it and what is known of it. Kept over changes of the table.
#[derive(Debug)]
pub(crate) struct LeafHandle {
    pub(crate) at: Arc<LeafAddress>,
    pub(crate) client: Leaf,
    pub(crate) state: LeafState,
}

/// A replica with its leaf.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    pub(crate) replica: Arc<Replica>,
    pub(crate) leaf: Arc<LeafHandle>,
}

/// A table and its connections.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) table: RoutingTable,
    leaves: BTreeMap<Arc<LeafAddress>, Arc<LeafHandle>>,
}

impl Routes {
    /// The replicas of `partition` that may be asked.
    pub(crate) fn routable(
        &self,
        partition: PartitionId,
        is_registry_live: bool,
    ) -> impl Iterator<Item = Routed> {
        let routable = self.table.routable(partition);
        // Their answers would be dropped.
        let routable = routable
            .filter(move |replica| !is_registry_live || replica.standing != Standing::Outdated);
        routable.filter_map(|replica| {
            let leaf = self.leaves.get(&replica.at)?;
            Some(Routed { replica: Arc::clone(replica), leaf: Arc::clone(leaf) })
        })
    }

    /// Every leaf, by group, name and address.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &Arc<LeafHandle>> {
        self.leaves.values()
    }

    pub(crate) fn leaf(&self, at: &Arc<LeafAddress>) -> Option<&Arc<LeafHandle>> {
        self.leaves.get(at)
    }
}

/// What a root goes by at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoutingState {
    /// The registry's revision of the routing table; none = it was never read, and no partition can be
    /// asked.
    pub revision: Option<Revision>,
    /// The registry answers. Otherwise requests go on by the last table.
    pub is_registry_connected: bool,
}

/// Holds the routes in force.
#[derive(Debug)]
pub(crate) struct Router {
    routes: watch::Sender<Arc<Routes>>,
    state: watch::Sender<RoutingState>,
    connect_timeout: Duration,
    /// Leaves are only spoken to through it, where there is one.
    tls: Option<Arc<Tls>>,
}

impl Router {
    /// Nobody is known yet.
    pub(crate) fn new(map: PartitionMap, connect_timeout: Duration, tls: Option<Arc<Tls>>) -> Self {
        let routes = Routes { table: RoutingTable::unknown(map), leaves: BTreeMap::new() };
        Self {
            routes: watch::Sender::new(Arc::new(routes)),
            state: watch::Sender::new(RoutingState::default()),
            connect_timeout,
            tls,
        }
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.borrow())
    }

    /// To hear of changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Routes>> {
        self.routes.subscribe()
    }

    /// From now on requests go by `table`. Connections to leaves that stay go on. Must be called on a
    /// runtime.
    pub(crate) fn replace(&self, table: RoutingTable) {
        let existing = self.routes();
        let mut leaves = BTreeMap::new();
        for at in &table.leaves {
            let known = existing.leaf(at).cloned();
            let Some(handle) = known.or_else(|| self.new_leaf(at)) else {
                continue;
            };
            leaves.insert(Arc::clone(at), handle);
        }
        let revision = table.revision;
        self.routes.send_replace(Arc::new(Routes { table, leaves }));
        self.state.send_modify(|state| state.revision = revision);
    }

    pub(crate) fn state(&self) -> RoutingState {
        *self.state.borrow()
    }

    /// To hear of changes of the state, which come after those of the routes.
    pub(crate) fn watch_state(&self) -> watch::Receiver<RoutingState> {
        self.state.subscribe()
    }

    /// Whether the registry answers, so that what the table says is how it is.
    pub(crate) fn is_registry_live(&self) -> bool {
        self.state.borrow().is_registry_connected
    }

    /// Returns whether it was otherwise before.
    pub(crate) fn set_registry_live(&self, is_live: bool) -> bool {
        self.state.send_if_modified(|state| {
            std::mem::replace(&mut state.is_registry_connected, is_live) != is_live
        })
    }
}

impl Router {
    /// Connects when it is first asked. None where the address is no URI: such a leaf is not there.
    fn new_leaf(&self, at: &Arc<LeafAddress>) -> Option<Arc<LeafHandle>> {
        let endpoint = match Endpoint::from_shared(at.address.clone()) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                let (group, leaf) = (&at.group, &at.leaf);
                tracing::warn!(%group, %leaf, %error, "the leaf's address is not one");
                return None;
            }
        };
        let endpoint = endpoint
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5));
        let channel = match &self.tls {
            Some(tls) => tls.channel(&endpoint, Role::Leaf),
            None => endpoint.connect_lazy(),
        };
        let client = LeafServiceClient::new(channel);
        let client = with_message_limits!(client, MessageLimits::INTERNAL.of_client());
        Some(Arc::new(LeafHandle { at: Arc::clone(at), client, state: LeafState::default() }))
    }
}
